"""`train` is the loop of Algorithm 2."""

from worlds import TINY, random_placement

from mecsim.refinement import refine_discrete
from mecsim.training import train
from mecsim.twin import DigitalTwin


class Recorder:
    """A learner that writes down what it is asked to do."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def explore(self, state):
        self.calls.append(("explore", state.slot))
        return refine_discrete(TINY, state, random_placement(TINY, state.slot))

    def remember(self, state, action, income, next_state) -> None:
        self.calls.append(("remember", state.slot, action.placement.tolist(), income, next_state.slot))

    def learn(self) -> None:
        self.calls.append(("learn",))


def test_every_slot_is_lines_5_to_13_in_order() -> None:
    recorder, twin, mirror = Recorder(), DigitalTwin(TINY, 1), DigitalTwin(TINY, 1)
    incomes = train(recorder, twin, 4, progress=False)
    expected = []
    for slot in range(4):
        action = refine_discrete(TINY, mirror.state, random_placement(TINY, slot))
        income = mirror.step(action).income
        expected += [
            ("explore", slot),
            ("remember", slot, action.placement.tolist(), income, slot + 1),
            ("learn",),
        ]
    assert recorder.calls == expected
    assert incomes.tolist() == [call[3] for call in recorder.calls if call[0] == "remember"]
    assert incomes.sum() > 0


def test_a_resumed_training_does_the_slots_that_are_left() -> None:
    whole = train(Recorder(), DigitalTwin(TINY, 1), 6, progress=False)
    twin, first = DigitalTwin(TINY, 1), []
    train(Recorder(), twin, 4, incomes=first, progress=False)
    rest = train(Recorder(), twin, 6, incomes=first, progress=False)
    assert rest.tolist() == whole.tolist()
    again = Recorder()
    assert train(again, twin, 6, incomes=first, progress=False).tolist() == whole.tolist()
    assert again.calls == []


def test_after_every_slot_the_incomes_so_far_are_handed_out() -> None:
    seen: list[int] = []
    train(
        Recorder(),
        DigitalTwin(TINY, 1),
        5,
        progress=False,
        after_slot=lambda incomes: seen.append(len(incomes)),
    )
    assert seen == [1, 2, 3, 4, 5]


def test_a_bar_shows_the_running_income(capsys) -> None:
    incomes = train(Recorder(), DigitalTwin(TINY, 1), 3)
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert f"income={incomes.mean():.1f}" in shown
