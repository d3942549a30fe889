"""Names, addresses and tokens. Everybody here is made up, and no text holds 13 digits: nothing can be a card number."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fradect.simulate.chance import Ints, Purpose, stream
from fradect.simulate.customers import FEMALE
from fradect.simulate.geography import CITIES, TOWNS, home_countries
from fradect.simulate.purchases import World

_FIRST = {
    True: "Anna Maria Olga Elena Irina Natalia Svetlana Daria Polina Vera Alina Ksenia Aigul Anush Nino Madina "
    "Yulia Tamara Lidia Galina Sofia Zarina Lola Marta",
    False: "Ivan Pavel Oleg Denis Anton Maxim Sergey Nikita Roman Igor Timur Aram Giorgi Rustam Artem Kirill "
    "Yury Fedor Stepan Viktor Boris Daniyar Emil Lev",
}
_STEMS = (
    "Ivanov Petrov Sokolov Orlov Lebedev Morozov Volkov Zaitsev Pavlov Belov Komarov Kiselev Makarov Andreev Ilin "
    "Gusev Titov Kuzmin Baranov Kulikov Alekseev Stepanov Yakovlev Sorokin Sergeev Romanov Zakharov Borisov Korolev "
    "Gerasimov Ponomarev Grigorev Lazarev Medvedev Ershov Nikitin Sobolev Ryabov Polyakov Tsvetkov"
)
_STREETS = (
    "Lesnaya Sadovaya Polevaya Shkolnaya Novaya Naberezhnaya Tsentralnaya Zarechnaya Vokzalnaya Parkovaya Severnaya "
    "Yuzhnaya Solnechnaya Rechnaya Zavodskaya Vishnyovaya Klubnaya Pochtovaya Sosnovaya Beregovaya"
)
_MAIL = "example.com example.org example.net mail.example post.example"

_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_BITS = np.uint64(40)
_MASK = np.uint64((1 << 40) - 1)


@dataclass(frozen=True, slots=True)
class Texts:
    """Row i of the first four belongs to customer i, row i of `address` to address i, `merchant` to merchant i."""

    customer: pa.StringArray
    email: pa.StringArray
    phone: pa.StringArray
    full_name: pa.StringArray
    address: pa.StringArray
    merchant: pa.StringArray
    octet: pa.StringArray


def write_texts(world: World) -> Texts:
    rng = stream(world.scenario.seed, Purpose.TEXTS)
    sex, seed = world.customers.sex, world.scenario.seed
    n = len(sex)
    first, last = _names(rng, sex)
    number = _numbers(rng.integers(1, 10_000, n))
    return Texts(
        customer=tokens("cust_", seed, Purpose.CUSTOMER_TOKEN, np.arange(n)),
        email=_joined([pc.ascii_lower(first), ".", pc.ascii_lower(last), number, "@", _drawn(rng, _MAIL, n)]),
        phone=_joined(["+79", _numbers(rng.integers(100_000_000, 1_000_000_000, n))]),
        full_name=_joined([first, " ", last]),
        address=_addresses(rng, world),
        merchant=_joined(["m_", _numbers(1_000 + np.arange(world.scenario.merchants))]),
        octet=_numbers(np.arange(256)),
    )


def address_countries(seed: int, resident: Ints) -> Ints:
    """The countries of all addresses: first the customers', then one drop to every twenty customers."""
    rng = stream(seed, Purpose.TEXTS, 1)
    return np.concatenate((resident, home_countries(rng, 20 + len(resident) // 20)))


def tokens(prefix: str, seed: int, purpose: Purpose, keys: Ints) -> pa.StringArray:
    """Ten hexadecimal digits that tell nothing of the key: a permutation of 40 bits, so that no two keys meet."""
    salt = np.uint64((seed * 2_654_435_761 + int(purpose) * 97_531) % 2**40)
    bits = keys.astype(np.uint64) ^ salt
    for factor in (0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93):
        bits = (bits * np.uint64(factor)) & _MASK
        bits ^= bits >> (_BITS // np.uint64(2))
    return _fixed(prefix, _hexadecimal(bits, 10))


def sequence(prefix: str, n: int) -> pa.StringArray:
    """`n` ascending identifiers: the prefix and six hexadecimal digits."""
    return _fixed(prefix, _hexadecimal(np.arange(n, dtype=np.uint64), 6))


def dotted(octet: pa.StringArray, address: Ints) -> pa.StringArray:
    """24 bits as an address of 10.0.0.0/8."""
    parts = [octet.take(pa.array((address >> shift) & 255)) for shift in (16, 8, 0)]
    return pc.binary_join_element_wise("10", *parts, ".")


def _hexadecimal(bits: NDArray[np.uint64], digits: int) -> NDArray[np.uint8]:
    shifts = np.arange(4 * (digits - 1), -1, -4, dtype=np.uint64)
    return np.asarray(_HEX[(bits[:, None] >> shifts) & np.uint64(15)], dtype=np.uint8)


def _fixed(prefix: str, digits: NDArray[np.uint8]) -> pa.StringArray:
    n, width = len(digits), len(prefix) + digits.shape[1]
    letters = np.empty((n, width), dtype=np.uint8)
    letters[:, : len(prefix)] = np.frombuffer(prefix.encode(), dtype=np.uint8)
    letters[:, len(prefix) :] = digits
    offsets = np.arange(0, (n + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(letters))


def _joined(parts: list[object]) -> pa.StringArray:
    return pc.binary_join_element_wise(*parts, "")


def _numbers(values: Ints) -> pa.StringArray:
    return pa.array(values).cast(pa.string())


def _drawn(rng: np.random.Generator, words: str, n: int) -> pa.StringArray:
    choice = pa.array(words.split())
    return choice.take(pa.array(rng.integers(0, len(choice), n)))


def _names(rng: np.random.Generator, sex: Ints) -> tuple[pa.StringArray, pa.StringArray]:
    n, female = len(sex), pa.array(sex == FEMALE)
    first = pc.if_else(female, _drawn(rng, _FIRST[True], n), _drawn(rng, _FIRST[False], n))
    return first, _joined([_drawn(rng, _STEMS, n), pc.if_else(female, "a", "")])


def _addresses(rng: np.random.Generator, world: World) -> pa.StringArray:
    country, n = world.address_country, len(world.address_country)
    cities = pa.array(" ".join(CITIES).split())
    parts = (
        (_drawn(rng, _STREETS, n), " "),
        (_numbers(rng.integers(1, 200, n)), ", flat "),
        (_numbers(rng.integers(1, 400, n)), ", "),
        (cities.take(pa.array(country * TOWNS + world.address_town)), " "),
        (_numbers(rng.integers(100_000, 700_000, n)), ""),
    )
    return _joined([text for part in parts for text in part])
