"""What a method is worth: protocols, results, comparisons, claims."""

from crossbit.evaluation.claims import claim, claim_of_runs, write_claims
from crossbit.evaluation.compare import compare
from crossbit.evaluation.evaluate import evaluate
from crossbit.evaluation.measure import Answers, Measured, evaluate_rows
from crossbit.evaluation.protocols import PROTOCOLS, Plan, Protocol, protocol_of
from crossbit.evaluation.result import Result

__all__ = [
    "PROTOCOLS",
    "Answers",
    "Measured",
    "Plan",
    "Protocol",
    "Result",
    "claim",
    "claim_of_runs",
    "compare",
    "evaluate",
    "evaluate_rows",
    "protocol_of",
    "write_claims",
]
