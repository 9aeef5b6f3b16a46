"""Which of Unicode's groups a folder of stamps or clip art belongs to, so that items of all sources share their labels.

A folder has the row of its longest listed beginning: `animals/birds/cartoon` that of `animals/birds`. A new collection comes
in with a table of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from crossbit.data.picto.names import Names

Place = tuple[str, str]
"""Group and subgroup; "" where a folder is too mixed for one."""

STAMP_FOLDERS: Mapping[str, Place] = {
    "animals": ("animals-nature", ""),
    "animals/amphibians": ("animals-nature", "animal-amphibian"),
    "animals/birds": ("animals-nature", "animal-bird"),
    "animals/dinosaur": ("animals-nature", "animal-reptile"),
    "animals/fish": ("animals-nature", "animal-marine"),
    "animals/insects": ("animals-nature", "animal-bug"),
    "animals/lizards": ("animals-nature", "animal-reptile"),
    "animals/mammals": ("animals-nature", "animal-mammal"),
    "animals/mammals/aquatic": ("animals-nature", "animal-marine"),
    "animals/marsupials": ("animals-nature", "animal-mammal"),
    "animals/shellfish": ("animals-nature", "animal-marine"),
    "clothes": ("objects", "clothing"),
    "food": ("food-drink", ""),
    "food/dessert": ("food-drink", "food-sweet"),
    "food/fruit": ("food-drink", "food-fruit"),
    "food/nuts": ("food-drink", "food-vegetable"),
    "food/spices": ("food-drink", "food-vegetable"),
    "food/vegetables": ("food-drink", "food-vegetable"),
    "hobbies": ("activities", ""),
    "hobbies/music": ("objects", "musical-instrument"),
    "household": ("objects", "household"),
    "household/arttools": ("objects", "writing"),
    "household/dishes": ("food-drink", "dishware"),
    "household/electronics": ("objects", ""),
    "household/tools": ("objects", "tool"),
    "medical": ("objects", "medical"),
    "military": ("objects", ""),
    "military/vehicles": ("travel-places", "transport-ground"),
    "naturalforces": ("travel-places", "sky-weather"),
    "people": ("people-body", ""),
    "people/body_parts": ("people-body", "body-parts"),
    "people/cartoon": ("people-body", "person-role"),
    "plants": ("animals-nature", "plant-other"),
    "plants/flowers": ("animals-nature", "plant-flower"),
    "seasonal": ("activities", "event"),
    "space": ("travel-places", "sky-weather"),
    "sports": ("activities", "sport"),
    "symbols": ("symbols", ""),
    "symbols/chess": ("activities", "game"),
    "symbols/faces": ("smileys-emotion", ""),
    "symbols/math": ("symbols", "keycap"),
    "symbols/math/operators": ("symbols", "math"),
    "symbols/money": ("objects", "money"),
    "symbols/money/00_symbols": ("symbols", "currency"),
    "symbols/music": ("objects", "music"),
    "symbols/shapes": ("symbols", "geometric"),
    "town": ("travel-places", ""),
    "town/flags": ("flags", "flag"),
    "town/houses": ("travel-places", "place-building"),
    "town/monuments": ("travel-places", "place-building"),
    "town/roadsigns": ("symbols", "transport-sign"),
    "vehicles": ("travel-places", "transport-ground"),
    "vehicles/flight": ("travel-places", "transport-air"),
    "vehicles/ship": ("travel-places", "transport-water"),
}

CLIPART_FOLDERS: Mapping[str, Place] = {
    "animals": ("animals-nature", ""),
    "animals/amphibian": ("animals-nature", "animal-amphibian"),
    "animals/birds": ("animals-nature", "animal-bird"),
    "animals/bugs": ("animals-nature", "animal-bug"),
    "animals/dinosaurs": ("animals-nature", "animal-reptile"),
    "animals/fish": ("animals-nature", "animal-marine"),
    "animals/mammals": ("animals-nature", "animal-mammal"),
    "buildings": ("travel-places", "place-building"),
    "buildings/furniture": ("objects", "household"),
    "buttons": ("symbols", ""),
    "computer": ("objects", "computer"),
    "computer/buttons": ("symbols", ""),
    "computer/icons": ("symbols", ""),
    "containers": ("objects", ""),
    "decorations": ("symbols", ""),
    "education": ("objects", ""),
    "education/books": ("objects", "book-paper"),
    "electronics": ("objects", ""),
    "electronics/battery": ("objects", "computer"),
    "electronics/bulb": ("objects", "light-video"),
    "food": ("food-drink", ""),
    "food/beverages": ("food-drink", "drink"),
    "food/breads_and_carbs": ("food-drink", "food-prepared"),
    "food/dairy": ("food-drink", "food-prepared"),
    "food/desserts": ("food-drink", "food-sweet"),
    "food/fruit": ("food-drink", "food-fruit"),
    "food/meats_and_eggs": ("food-drink", "food-prepared"),
    "food/vegetables": ("food-drink", "food-vegetable"),
    "geography": ("travel-places", "place-map"),
    "geography/astronomy": ("travel-places", "sky-weather"),
    "logos": ("symbols", ""),
    "office": ("objects", "office"),
    "office/telephone": ("objects", "phone"),
    "people": ("people-body", ""),
    "people/bodypart": ("people-body", "body-parts"),
    "people/clothing": ("objects", "clothing"),
    "people/smilies": ("smileys-emotion", ""),
    "people/stickmen": ("people-body", "person-activity"),
    "plants": ("animals-nature", "plant-other"),
    "plants/flowers": ("animals-nature", "plant-flower"),
    "recreation": ("activities", ""),
    "recreation/art": ("activities", "arts-crafts"),
    "recreation/games": ("activities", "game"),
    "recreation/holiday": ("activities", "event"),
    "recreation/music": ("objects", "musical-instrument"),
    "recreation/party": ("activities", "event"),
    "recreation/religion": ("symbols", "religion"),
    "recreation/sports": ("activities", "sport"),
    "recreation/toys": ("activities", "game"),
    "science": ("objects", "science"),
    "science/astronomy": ("travel-places", "sky-weather"),
    "science/medicine": ("objects", "medical"),
    "shapes": ("symbols", "geometric"),
    "shapes/arrows": ("symbols", "arrow"),
    "signs_and_symbols": ("symbols", ""),
    "signs_and_symbols/awards": ("activities", "award-medal"),
    "signs_and_symbols/clocks": ("travel-places", "time"),
    "signs_and_symbols/flags": ("flags", "flag"),
    "signs_and_symbols/flags/africa": ("flags", "country-flag"),
    "signs_and_symbols/flags/america": ("flags", "country-flag"),
    "signs_and_symbols/flags/asia": ("flags", "country-flag"),
    "signs_and_symbols/flags/europe": ("flags", "country-flag"),
    "signs_and_symbols/flags/oceania": ("flags", "country-flag"),
    "signs_and_symbols/hazard": ("symbols", "warning"),
    "signs_and_symbols/money": ("objects", "money"),
    "signs_and_symbols/weather": ("travel-places", "sky-weather"),
    "special": ("symbols", ""),
    "tools": ("objects", "tool"),
    "transportation": ("travel-places", "transport-ground"),
    "transportation/aiga-symbols": ("symbols", "transport-sign"),
    "transportation/boating": ("travel-places", "transport-water"),
    "transportation/roadsigns": ("symbols", "transport-sign"),
}


def place_of(path: str, table: Mapping[str, Place]) -> Place:
    """Give the group and subgroup of a path's folder; two empty names where the table has no row for it."""
    parts = path.split("/")[:-1]
    for end in range(len(parts), 0, -1):
        if (found := table.get("/".join(parts[:end]))) is not None:
            return found
    return "", ""


def labels_of(path: str, table: Mapping[str, Place], name: str | None, names: Names) -> tuple[str, ...]:
    """Give the labels of a picture in a folder: those of the emoji of the same name, else group and subgroup of the folder.

    The emoji's hold only where folder and emoji are of one group: the "bat" among the sports is not the animal.
    """
    group, subgroup = place_of(path, table)
    emoji = names.lookup(name) if name else None
    if emoji is not None and (not group or names.group(emoji) == group):
        return names.labels(emoji)
    return tuple(f"{kind}:{value}" for kind, value in (("group", group), ("subgroup", subgroup)) if value)
