"""What is refused, and why. docs/onnx.md shows these lines."""

from ..registry import refuse

refuse("strings are no type of the wire", "StringNormalizer", "TfIdfVectorizer")
refuse("sequences and optional values are no tensors; a graph has tensors only", "SequenceAt", "SequenceConstruct",
       "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap", "SplitToSequence",
       "ConcatFromSequence", "Optional", "OptionalGetElement", "OptionalHasElement")
refuse("the shape of its result depends on the data", "NonMaxSuppression", "Unique")
refuse("its random numbers are each runtime's own, so that no result of it could be checked", "Bernoulli",
       "Multinomial",
       "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
refuse("its windows' sizes depend on the data", "MaxRoiPool")
