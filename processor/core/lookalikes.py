"""Letters of other scripts that look Latin. Written by `deploy/lookalikes.py`.

Source: Unicode's confusables.txt, version 17.0.0 of 2025-07-22.
Copyright 2025 Unicode, Inc.; see https://www.unicode.org/copyright.html.
"""

# Each script's letters, and in the same order the small Latin letters that they look like. A
# capital I is given as `l`, which it looks like.
SCRIPTS: dict[str, tuple[str, str]] = {
    "Ahom": (
        "𑜆𑜊𑜎𑜏",
        "vwww",
    ),
    "Arabic": (
        "اهھہە",
        "loooo",
    ),
    "Armenian": (
        "ՍՏՕագզհոռստցւքօ",
        "usowqqhnnusgifo",
    ),
    "Bamum": (
        "ꛟ",
        "v",
    ),
    "Canadian": (
        "ᐯᑌᑭᑯᑲᒍᒪᕁᕼᕽᖇᖯᖴᗅᗞᗪᗰᗷ",
        "vupdbjlxhxrbfaddmb",
    ),
    "Carian": (
        "𐊠𐊡𐊢𐊥𐊫𐊰𐊱𐊲𐊴𐋏",
        "abcfomtyxh",
    ),
    "Cherokee": (
        "ᎠᎡᎢᎥᎩᎪᎫᎬᎳᎷᎻᎽᏀᏂᏃᏏᏒᏔᏕᏙᏚᏞᏟᏢᏦᏧᏳᏴᏻᏼꭰꭱꭲꭵꭹꭺꭻꭼꮁꮃꮇꮋꮍꮐꮒꮓꮟꮢꮤꮥꮩꮪꮮꮯꮲꮶꮷ",
        "drtiyajewmhyghzbrwsvslcpkdgbgbdrtiyajerwmhyghzbrwsvslcpkd",
    ),
    "Coptic": (
        "ϭⲂⲃⲅⲎⲏⲒⲓⲔⲕⲘⲙⲚⲛⲞⲟⲢⲣⲤⲥⲦⲧⲨⲩⲬⲭⲽⳎⳏⳐⳑ",
        "obbrhhlikkmmnnooppccttyyxxwppll",
    ),
    "Cyrillic": (
        "ЅІЈАВЕКМНОРСТУХЬавгекмнорстухшьѕіјѡѴѵҮүһҽӀӏԁԌԍԛԜԝꙇ",
        "sljabekmhopctyxbabrekmhopctyxwbsijwvvyyhelldggqwwi",
    ),
    "Deseret": (
        "𐐄𐐕𐐛𐐠𐐬𐐽𐑃𐑈",
        "oclsocls",
    ),
    "Elbasan": (
        "𐔓𐔖𐔘𐔜𐔝𐔥𐔦𐔧",
        "nokcvflx",
    ),
    "Ethiopic": (
        "ሀዐ",
        "uo",
    ),
    "Georgian": (
        "ყჿ",
        "yo",
    ),
    "Greek": (
        "ͿΑΒΕΖΗΙΚΜΝΟΡΤΥΧαβγεζηικμνορστυχϜϝϳϸϺϻᴦ",
        "jabezhlkmnoptyxabyezhikmvopotuxffjpmmr",
    ),
    "Hebrew": (
        "וטןס",
        "lvlo",
    ),
    "Lisu": (
        "ꓐꓑꓒꓓꓔꓖꓗꓙꓚꓜꓝꓟꓠꓡꓢꓣꓦꓧꓪꓫꓬꓮꓰꓲꓳꓴ",
        "bpddtgkjczfmnlsrvhwxyaelou",
    ),
    "Lycian": (
        "𐊂𐊆𐊇𐊊𐊐𐊒𐊕𐊖𐊗",
        "beflxopst",
    ),
    "Malayalam": (
        "ടഠ",
        "so",
    ),
    "Miao": (
        "𖼈𖼊𖼖𖼨𖼵𖼺𖽀𖽂𖽃",
        "vtllrsauy",
    ),
    "Myanmar": (
        "ငဝၚ",
        "coc",
    ),
    "Nko": (
        "ߊ",
        "l",
    ),
    "Old": (
        "𐌁𐌂𐌉𐌑𐌕𐌗",
        "bclmtx",
    ),
    "Oriya": (
        "ଠ",
        "o",
    ),
    "Osage": (
        "𐒴𐓂𐓎𐓜𐓪𐓶",
        "rourou",
    ),
    "Runic": (
        "ᚷᛁᛕᛖ",
        "xlkm",
    ),
    "Tifinagh": (
        "ⴸⴹⵏⵔⵕⵝ",
        "veloqx",
    ),
    "Warang": (
        "𑢠𑢢𑢣𑢤𑢦𑢩𑢮𑢲𑢵𑢸𑢼𑣀𑣁𑣂𑣃𑣄𑣆𑣈𑣉𑣎𑣒𑣕𑣗𑣘𑣜",
        "vflyezeloutvsfizeozeloouy",
    ),
}
