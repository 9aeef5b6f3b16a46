"""The one compiled piece: the Hamming kernel, for every Python from 3.11 on. Without a compiler its NumPy twin runs."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "crossbit.codes._hamming",
            [f"src/crossbit/codes/{name}.c" for name in ("_hamming", "_multi", "_dots")],
            depends=["src/crossbit/codes/_hamming.h"],
            extra_compile_args=["-O3"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
