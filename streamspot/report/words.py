"""What the terms of a report mean, for a reader who has not met them; each stands where the term does."""

from __future__ import annotations

_KINDS = """
    A macro-expression is a plain one, mostly of half a second and more; a micro-expression is short and faint.
"""
_MARKS = """
    from onset (the first moment of the movement) to offset (its last); the diamond is the apex, its strongest moment.
"""
_RATES = """
    Per hour: how many there would be in an hour at this rate, which says little where a recording lasts seconds.
    Lasted (median): half of the expressions lasted longer, half shorter.
"""

_TEXTS = {
    "end": """
        streamspot reports that a face moved, when and where. It does not say what a person feels:
        the same movement may have many causes. This page holds numbers only, and loads and sends nothing.
    """,
    "overview": f"""
        One row a recording. {_KINDS} {_RATES}
        Could be judged: for how much of the time a face, or one of several, was seen well enough.
    """,
    "curve": f"""
        The line is the intensity: how clearly the face shows an expression at each moment, from 0 (not at all) to 1.
        It says when an expression rises and falls, not how large the movement is.
        Shaded, and marked below the line, is what was reported as an expression, {_MARKS} {_KINDS}
    """,
    "no curve": f"""
        Each bar is an expression, {_MARKS} {_KINDS}
        The curve itself is not at hand: run again with --intensity beside --events.
    """,
    "nothing": "No face was judged here: none was in view, or only the events were kept and there are none.",
    "zoom": "Drag across the curve to zoom in, double-click to see all of it again.",
    "frequencies": f"""
        {_RATES}
        Share of the time: for how much of the time in which the face was in view an expression was going on.
    """,
    "faces": """
        Of a face, per hour means an hour in which it was in view; of all faces, an hour of the recording, whoever was
        in view. Who leaves and comes back may count as another face.
    """,
    "expressions": """
        Times are minutes and seconds of the source. Peak: the highest intensity. Moved most: the regions of the
        face that went farthest from onset to apex, with their share of the movement of all regions; left is
        left in the picture, which is the person's right.
    """,
    "delays": """
        A live user hears of an expression after this many seconds of the source: half of the time within the
        median, nearly always (95 of 100) within the second figure. The moments are those of the table of
        expressions: an onset may have been announced with a time that was set right later.
    """,
    "sight": """
        In view: a face was there. Could be judged: nothing stood in the way. Where something did, expressions may
        have been missed, and others found that are none.
    """,
    "made": """
        Weights are the network that judges; the look-ahead is how much of what follows it waits for. The
        session stands for what was analysed and how: two runs with the same session give the same events.
    """,
    "both": """
        An expression is in both if the two overlap by at least half of what they cover together and have the
        same kind.
    """,
    "points": """
        labels are points, without a beginning or an end: one counts as found if it lies within an expression of
        its kind. No beginning or end is made up for it.
    """,
    "rates": """
        Precision: the share of this run's expressions that the other side has too. Recall: the share of the other
        side's expressions that this run has too. F1: one figure for both, 1 at best.
    """,
    "strict": """
        A detection has found an annotated expression if the two overlap by at least half of what they cover
        together and have the same kind; each finds one at most, the surest first. TP: found. FP: detections
        that found none. FN: expressions that were not found. Every detection counts.
    """,
    "paper": """
        As the paper's own code counts: ends are one frame looser, false detections of a kind that a subject
        never shows are left out, and in a cross-validation each subject's best epoch is taken. These figures
        flatter, and serve only to be held against the paper's.
    """,
    "results": """
        Precision: how many detections found an expression. Recall: how many expressions were found. F1: one
        figure for both, 1 at best; its interval is from drawing the subjects anew, and needs two. Apex error: how
        far the detected apex is from the annotated one, in ticks of 1/30 s.
    """,
    "live": """
        Delays are from the annotated moment to its announcement: median, and in brackets what 95 of 100 stay
        below. Cancelled early: announcements that were taken back. False: expressions reported that are none.
    """,
    "traces": """
        The recordings with most expressions. Line: the intensity, from 0 to 1. Shaded, and in the first row
        below: what was detected. Lowest row: what is annotated; the diamond is the time stamp.
    """,
    "apex error": """
        How far the highest intensity near the time stamp is from the annotated apex, on subjects that were not
        trained on.
    """,
    "pseudo-labels": """
        Dotted: the pseudo-labels that the labelling of the last epoch gives round the time stamps on this curve
        of a network that never saw the subject.
    """,
    "range": "Of them their range alone, since their height depends on features that a run does not keep.",
    "no pseudo-labels": "No pseudo-labels: they are those of another method.",
}

WORDS = {name: " ".join(text.split()) for name, text in _TEXTS.items()}
"""Sentences by where they stand."""
