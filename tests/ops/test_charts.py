"""Charts that the server draws: a step where the value changes, zero in the picture, nothing outside of it."""

from ops.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, step_chart


def test_a_value_stays_until_the_next_point_changes_it() -> None:
    chart = step_chart([(0, 0), (5, 10), (10, 5)])

    assert chart is not None
    middle, half = LEFT + (WIDTH - LEFT - RIGHT) / 2, TOP + (HEIGHT - TOP - BOTTOM) / 2
    ground = HEIGHT - BOTTOM
    assert chart.line == f"M{LEFT}.0 {ground}.0H{middle}V{TOP}.0H{WIDTH - RIGHT}.0V{half}"
    assert chart.zero == ground
    assert chart.area == f"{chart.line}V{ground}.0H{LEFT}.0Z"


def test_zero_is_in_the_picture_whatever_is_owed_or_owned() -> None:
    for values in ([5, 6], [-5, -6], [-5, 5]):
        chart = step_chart(list(enumerate(values)))
        assert chart is not None
        assert TOP <= chart.zero <= HEIGHT - BOTTOM


def test_values_that_do_not_change_and_moments_that_are_one_are_drawn() -> None:
    assert step_chart([(1, 0), (1, 0)]) is not None


def test_a_single_point_is_no_chart() -> None:
    assert step_chart([(1, 1)]) is None
    assert step_chart([]) is None
