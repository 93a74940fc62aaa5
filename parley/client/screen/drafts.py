"""What is being typed, in cells: as the timeline will show it.

The text itself is not changed. A character whose width terminals disagree on would put the cursor,
and with it what is drawn next, in another place than the renderer believes.
"""

from bisect import bisect_right

from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.formatted_text.utils import fragment_list_to_text
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.layout.utils import explode_text_fragments

from parley.client.ground.cells import in_cells, places_in_cells


class InCells(Processor):
    """Shows a line as ``in_cells`` has it."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        """Return the line without what terminals disagree on, and where its characters are."""
        fragments = transformation_input.fragments
        text = fragment_list_to_text(fragments)
        if text.isascii():
            return Transformation(fragments)
        places = places_in_cells(text)
        each = explode_text_fragments(fragments)
        shown = in_cells(text)
        kept: StyleAndTextTuples = [
            (each[at][0], shown[place])
            for at, place in enumerate(places[:-1])
            if places[at + 1] > place
        ]
        return Transformation(
            kept,
            source_to_display=lambda at: places[min(at, len(text))],
            display_to_source=lambda at: bisect_right(places, at) - 1,
        )
