"""When memory is given back."""

from quantum.trimming import Trimmer

MIB = 1 << 20


def test_memory_is_given_back_when_it_has_grown_and_the_process_is_idle():
    trimmer = Trimmer()
    trimmer.trimmed(100 * MIB)
    assert not trimmer.is_due(101 * MIB, 0.1, 5.0), "nothing to gain"
    assert not trimmer.is_due(150 * MIB, 3.1, 5.0), "busy"
    assert trimmer.is_due(150 * MIB, 3.2, 5.0)
    trimmer.trimmed(149 * MIB)
    assert trimmer.is_due(150 * MIB, 3.3, 5.0), "once more: the last connections have closed now"
    trimmer.trimmed(149 * MIB)
    assert not trimmer.is_due(150 * MIB, 3.3, 5.0), "what stayed is in use"


def test_the_first_look_of_an_idle_process_gives_back_what_its_start_left():
    assert Trimmer().is_due(90 * MIB, 0.5, 5.0)
