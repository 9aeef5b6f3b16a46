"""The methods by name; strings, so that listing costs nothing. Your own method is named `my_module:MyMethod`."""

METHODS: dict[str, str] = {
    "clip": "crossbit.methods.clip:Clip",
    "cmdn": "crossbit.methods.cmdn:CMDN",
    "cmfh": "crossbit.methods.cmfh:CMFH",
    "cmssh": "crossbit.methods.cmssh:CMSSH",
    "cmhr_drn": "crossbit.methods.cmhr_drn:CMHRDRN",
    "conse": "crossbit.methods.conse:ConSE",
    "dcmh": "crossbit.methods.dcmh:DCMH",
    "djsrh": "crossbit.methods.djsrh:DJSRH",
    "fgcmh": "crossbit.methods.fgcmh:FGCMH",
    "itq": "crossbit.methods.itq:ITQ",
    "mvsen": "crossbit.methods.mvsen:MVSEN",
    "nested": "crossbit.methods.nested:Nested",
    "scan": "crossbit.methods.scan:SCAN",
    "ucch": "crossbit.methods.ucch:UCCH",
    "vit2cmh": "crossbit.methods.vit2cmh:ViT2CMH",
    "vse_fusion": "crossbit.methods.vse_fusion:VSEFusion",
    "vse_infinity": "crossbit.methods.vse_infinity:VSEInfinity",
    "vsepp": "crossbit.methods.vsepp:VSEPP",
}
