"""What the authors' normalisation does to a string, rule by rule, each case worked out by hand."""

import pytest

from llavamed_trainer.evaluation.scoring import normalise


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Left LUNG", "left lung"),
        # A mark that touches no blank becomes a blank …
        ("T1-weighted", "t1 weighted"),
        ("yes/no", "yes no"),
        # … one that touches a blank anywhere is deleted everywhere,
        ("x-ray - chest", "xray chest"),
        ("(CT) scan", "ct scan"),
        ("yes, no,maybe", "yes nomaybe"),
        # each mark by itself: here the comma touches a blank and the hyphen does not,
        ("T1-weighted, axial", "t1 weighted axial"),
        # and by the text as it came: the blank left by the first hyphen is none for the second.
        ("a-b-c", "b c"),
        ("right;/left", "right left"),
        # A string's first or last place is no blank; a line end is none either.
        ("right?", "right"),
        ("-5", "5"),
        ("lung,\nleft", "lung left"),
        # digit,comma,digit: every mark is deleted, wherever it stands.
        ("1,000 x-rays/day", "1000 xraysday"),
        ("1, 000 x-rays", "1 000 x rays"),
        # All twenty-one marks.
        ('a;b/c[d]e"f{g}h(i)j=k+l\\m_n-o>p<q@r`s,t?u!v', "b c d e f g h i j k l m n o p q r s t u v"),
        # Other marks stay.
        ("5% of 'it': #3 & *", "5% of 'it': #3 & *"),
    ],
)
def test_punctuation_marks(text: str, normal: str) -> None:
    assert normalise(text) == normal


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("No.", "no"),
        ("e.g. lung", "eg lung"),
        ("3.5 cm.", "3.5 cm"),
        (".5", ".5"),
        ("5. 3", "5 3"),
        ("...5", ".5"),
    ],
)
def test_a_period_is_deleted_unless_a_digit_follows(text: str, normal: str) -> None:
    assert normalise(text) == normal


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("none zero one two three four five six seven eight nine ten", "0 0 1 2 3 4 5 6 7 8 9 10"),
        ("Eleven twenty-one", "eleven twenty 1"),
        ("nobody someone", "nobody someone"),
        ("A lesion in the left lung, an old one", "lesion in left lung old 1"),
        ("the", ""),
        ("vitamin a", "vitamin"),
        ("dont cant isnt", "don't can't isn't"),
        ("don't", "don't"),
        ("its were well im id", "its were well im id"),
        ("  left \t\n lung  ", "left lung"),
        ("", ""),
    ],
)
def test_words(text: str, normal: str) -> None:
    assert normalise(text) == normal
