"""The methods by name; strings, so that listing costs nothing. Your own method is named `my_module:MyMethod`."""

METHODS: dict[str, str] = {
    "clip": "crossbit.methods.clip:Clip",
    "conse": "crossbit.methods.conse:ConSE",
    "fgcmh": "crossbit.methods.fgcmh:FGCMH",
    "scan": "crossbit.methods.scan:SCAN",
    "vse_infinity": "crossbit.methods.vse_infinity:VSEInfinity",
    "vsepp": "crossbit.methods.vsepp:VSEPP",
}
