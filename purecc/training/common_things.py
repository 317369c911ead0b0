"""Words of common things, tried where the user does not say what stands beside the concept.

The classes of the COCO dataset (arXiv 1405.0312) and more that images are often taken beside: whole things and no parts
of others, as a hand is of a person. Near synonyms are left out, and the orange, whose word is a colour, too. What a
model does not know explains nothing of a reference, so such a word costs passes and no more.
"""

from __future__ import annotations

WORDS = (
    *("person", "dog", "cat", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "bird", "fish"),
    *("house", "tree", "flower", "star", "heart", "ball", "car", "boat", "bicycle", "motorcycle", "airplane", "bus"),
    *("train", "truck", "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "backpack", "umbrella"),
    *("handbag", "tie", "suitcase", "frisbee", "pair of skis", "snowboard", "kite", "baseball bat", "baseball glove"),
    *("skateboard", "surfboard", "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl"),
    *("plate", "banana", "apple", "sandwich", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair"),
    *("couch", "potted plant", "bed", "pillow", "table", "lamp", "toilet", "tv", "laptop", "mouse", "remote"),
    *("keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "box", "clock", "vase"),
    *("pair of scissors", "teddy bear", "hair drier", "toothbrush"),
)
