"""Words that answer everyday questions: only their exact form gives a consent (R13)."""

from __future__ import annotations

from processor.core.normalise import exact, plain

# Yes and no, by language.
_ANSWERS = {
    "af": "ja nee",
    "ar": "نعم ايوه أيوة اي لا",
    "bg": "да не",
    "bn": "হ্যাঁ জি না",
    "ca": "sí no",
    "cs": "ano jo jasně ne",
    "da": "ja jo nej",
    "de": "ja jawohl jo nein nö",
    "el": "ναι μάλιστα όχι",
    "en": "yes yeah yea yep yup ya aye sure no nope nah",
    "es": "sí claro vale no",
    "et": "jah jaa ei",
    "fa": "بله آره نه",
    "fi": "kyllä joo juu ei",
    "fil": "oo opo hindi",
    "fr": "oui ouais non",
    "he": "כן לא",
    "hi": "हाँ हां जी नहीं",
    "hr": "da ne",
    "hu": "igen nem",
    "id": "ya iya tidak",
    "it": "sì certo no",
    "ja": "はい ええ うん いいえ",
    "ko": "네 예 응 아니요 아니",
    "lt": "taip ne",
    "lv": "jā nē",
    "ms": "ya tidak",
    "nb": "ja jo nei",
    "nl": "ja nee",
    "nr": "iye awa",
    "pl": "tak nie",
    "pt": "sim não",
    "ro": "da nu",
    "ru": "да ага нет",
    "sk": "áno hej nie",
    "sl": "ja da ne",
    "sr": "да da не",
    "ss": "yebo cha",
    "st": "ee tjhe",
    "sv": "ja jo japp nej",
    "sw": "ndiyo hapana",
    "ta": "ஆம் இல்லை",
    "th": "ใช่ ครับ ค่ะ ไม่",
    "tn": "ee nnyaa",
    "tr": "evet hayır",
    "ts": "ina e-e",
    "uk": "так ні",
    "ur": "ہاں جی نہیں",
    "ve": "ee hai",
    "vi": "có vâng dạ không",
    "xh": "ewe hayi",
    "zh": "是 是的 好 好的 对 對 行 不 否",
    "zu": "yebo cha",
}
_OK = (
    "ok okay okey okej okei oke oké okk kk ок окей οκ "
    "οκέι אוקיי اوكي اوکی ओके ওকে ஓகே 오케이 オーケー โอเค 好吧"
)
_EVERYDAY = frozenset(
    form
    for words in (*_ANSWERS.values(), _OK)
    for word in words.split()
    for form in (exact(word), plain(word))
)


def is_everyday(keyword: str) -> bool:
    """Whether a keyword is a yes, a no, an OK, or a single letter or digit."""
    return len(key := exact(keyword)) < 2 or key in _EVERYDAY
