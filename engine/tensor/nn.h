// The functions that neural networks are made of, all of them.
#pragma once

#include "engine/tensor/attention.h"
#include "engine/tensor/contraction.h"
#include "engine/tensor/convolution.h"
#include "engine/tensor/losses.h"
#include "engine/tensor/normalisation.h"
#include "engine/tensor/pooling.h"
#include "engine/tensor/resize.h"
