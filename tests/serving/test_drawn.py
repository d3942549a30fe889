"""Names are drawn once, whoever draws."""

from concurrent.futures import ThreadPoolExecutor

from serving.drawn import drawn_hex


def test_names_are_never_given_twice_also_not_to_threads() -> None:
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(drawn_hex, [8] * 20_000))
    assert len(set(names)) == len(names)
    assert {len(name) for name in names} == {16}
