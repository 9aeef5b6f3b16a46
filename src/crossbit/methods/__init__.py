"""The methods by name; strings, so that listing costs nothing. Your own method is named `my_module:MyMethod`."""

METHODS: dict[str, str] = {
    "clip": "crossbit.methods.clip:Clip",
    "cmfh": "crossbit.methods.cmfh:CMFH",
    "cmssh": "crossbit.methods.cmssh:CMSSH",
    "conse": "crossbit.methods.conse:ConSE",
    "fgcmh": "crossbit.methods.fgcmh:FGCMH",
    "itq": "crossbit.methods.itq:ITQ",
    "scan": "crossbit.methods.scan:SCAN",
    "vse_infinity": "crossbit.methods.vse_infinity:VSEInfinity",
    "vsepp": "crossbit.methods.vsepp:VSEPP",
}
