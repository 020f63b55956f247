"""When memory is given back."""

import gc

from quantum import trimming
from quantum.trimming import Trimmer, oldest_to_collect

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


def test_old_garbage_is_collected_unless_there_is_so_much_in_use_that_it_takes_long(monkeypatch):
    held = [[n] for n in range(1000)]
    gc.collect(1)  # they are old now
    monkeypatch.setattr(trimming, "MOST_OBJECTS", len(gc.get_objects(generation=2)) + 1000)
    assert oldest_to_collect() == 2
    monkeypatch.setattr(trimming, "MOST_OBJECTS", len(held) - 1)
    assert oldest_to_collect() == 1
