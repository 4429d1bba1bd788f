// The FLOP counts that the field knows: whole networks, built by hand, against published figures and closed forms.
#include <catch2/catch.hpp>

#include "tests/meter/graphs.h"

namespace quarry::testing {
namespace {

/// GFLOP by the field's convention.
double gflop(const graph::Graph& graph) {
  return static_cast<double>(counted(graph).flops.count) / 1e9;
}

/// Layers of networks. Weights are INPUTs named by their number.
class Network : public Pen {
 public:
  NodeId weight(const Shape& shape) { return in("w" + std::to_string(weights_++), shape); }

  /// [.., size, ..] -> [.., k, out, ..]: element (a, b) of the new axes shows a + b * stride of the old one. Only
  /// movement.
  NodeId windows(NodeId x, size_t axis, int64_t k, int64_t stride) {
    Shape shape = size_of(x);
    const int64_t size = shape[axis];
    const int64_t out = (size - k) / stride + 1;
    const auto with = [&](const Shape& middle) {
      Shape whole(shape.begin(), shape.begin() + static_cast<int64_t>(axis));
      whole.insert(whole.end(), middle.begin(), middle.end());
      whole.insert(whole.end(), shape.begin() + static_cast<int64_t>(axis) + 1, shape.end());
      return whole;
    };
    const auto keep_first = [&](NodeId node, size_t at, int64_t count) {
      std::vector<Pair> ranges;
      for (int64_t length : size_of(node)) ranges.push_back({0, length});
      ranges[at].after = count;
      return cut(node, ranges);
    };
    const int64_t copies = (k * (size + 1) + size - 1) / size;
    NodeId y = as(to(as(x, with({1, size})), with({copies, size})), with({copies * size}));
    y = as(keep_first(y, axis, k * (size + 1)), with({k, size + 1}));
    Shape steps(size_of(y).size(), 1);
    steps[axis + 1] = stride;
    return keep_first(strided(y, steps), axis + 1, out);
  }

  NodeId around(NodeId x, int64_t amount) { return padded(x, {{0, 0}, {0, 0}, {amount, amount}, {amount, amount}}); }

  /// x [n, c, h, w] -> [n, out, h', w']: SUM of MUL over c, k, k.
  NodeId convolution(NodeId x, int64_t out, int64_t k, int64_t stride, int64_t padding) {
    const NodeId view = windows(windows(around(x, padding), 2, k, stride), 4, k, stride);  // [n, c, k, h, k, w]
    const Shape v = size_of(view);
    const Shape wide{v[0], out, v[1], v[2], v[3], v[4], v[5]};
    const NodeId left = to(as(view, {v[0], 1, v[1], v[2], v[3], v[4], v[5]}), wide);
    const NodeId right = to(as(weight({out, v[1], k, k}), {1, out, v[1], k, 1, k, 1}), wide);
    return as(sum(mul(left, right), {2, 3, 5}), {v[0], out, v[3], v[5]});
  }

  /// (x - mean) * scale + shift, by channel.
  NodeId normalised(NodeId x) {
    const Shape shape = size_of(x);
    const auto channel = [&] { return to(as(weight({shape[1]}), {1, shape[1], 1, 1}), shape); };
    return add(mul(sub(x, channel()), channel()), channel());
  }
  NodeId relu(NodeId x) { return max(x, like(x, 0)); }

  NodeId greatest_of_3x3(NodeId x) {
    const NodeId view = windows(windows(around(x, 1), 2, 3, 2), 4, 3, 2);
    const Shape v = size_of(view);
    return as(greatest(view, {2, 4}), {v[0], v[1], v[3], v[5]});
  }

  NodeId bottleneck(NodeId x, int64_t width, int64_t stride) {
    NodeId y = relu(normalised(convolution(x, width, 1, 1, 0)));
    y = relu(normalised(convolution(y, width, 3, stride, 1)));
    y = normalised(convolution(y, 4 * width, 1, 1, 0));
    const bool keeps_shape = size_of(x) == size_of(y);
    return relu(add(y, keeps_shape ? x : normalised(convolution(x, 4 * width, 1, stride, 0))));
  }

  NodeId resnet50(int64_t images) {
    NodeId x = relu(normalised(convolution(in("images", {images, 3, 224, 224}), 64, 7, 2, 3)));
    x = greatest_of_3x3(x);
    constexpr int64_t kBlocks[] = {3, 4, 6, 3};
    for (int64_t stage = 0; stage < 4; ++stage) {
      for (int64_t block = 0; block < kBlocks[stage]; ++block) {
        x = bottleneck(x, int64_t{64} << stage, stage > 0 && block == 0 ? 2 : 1);
      }
    }
    const NodeId mean = mul(as(sum(x, {2, 3}), {images, 2'048}), full({images, 2'048}, 1.0 / 49));
    const NodeId out = matmul(mean, weight({2'048, 1'000}));
    return add(out, to(as(weight({1'000}), {1, 1'000}), {images, 1'000}));
  }

  // --- one token of LLaMA-7B ---

  NodeId rms_normalised(NodeId x) {
    const Shape shape = size_of(x);
    const NodeId mean = mul(sum(mul(x, x), {1}), full({1, 1}, 1.0 / 4'096));
    const NodeId scale = pow(add(mean, full({1, 1}, 1e-5)), full({1, 1}, -0.5));
    return mul(mul(x, to(scale, shape)), as(weight({shape[1]}), {1, shape[1]}));
  }
  NodeId rotated(NodeId x) {  // [32, 128]: even and odd parts by a rotation
    const NodeId even = strided(x, {1, 2});
    const NodeId odd = strided(cut(x, {{0, 32}, {1, 128}}), {1, 2});
    const auto turn = [&] { return to(as(weight({64}), {1, 64}), {32, 64}); };
    const NodeId cosine = turn(), sine = turn();
    const NodeId first = sub(mul(even, cosine), mul(odd, sine));
    const NodeId second = add(mul(even, sine), mul(odd, cosine));
    return add(padded(first, {{0, 0}, {0, 64}}), padded(second, {{0, 0}, {64, 0}}));
  }
  NodeId softmax(NodeId x) {  // along the last axis
    const Shape shape = size_of(x);
    const NodeId e = exp(sub(x, to(greatest(x, {1}), shape)));
    return div(e, to(sum(e, {1}), shape));
  }
  NodeId attention(NodeId x, int64_t positions) {
    const NodeId query = rotated(as(matmul(x, weight({4'096, 4'096})), {32, 128}));
    const NodeId key = rotated(as(matmul(x, weight({4'096, 4'096})), {32, 128}));
    const NodeId value = as(matmul(x, weight({4'096, 4'096})), {32, 128});
    const auto with_cache = [&](NodeId row) {
      const NodeId earlier = weight({32, positions - 1, 128});
      return add(padded(earlier, {{0, 0}, {0, 1}, {0, 0}}),
                 padded(as(row, {32, 1, 128}), {{0, 0}, {positions - 1, 0}, {0, 0}}));
    };
    const Shape cube{32, positions, 128};
    const NodeId scores = as(sum(mul(to(as(query, {32, 1, 128}), cube), with_cache(key)), {2}), {32, positions});
    const NodeId shares = softmax(mul(scores, like(scores, 0.0883883)));
    const NodeId mixed = sum(mul(to(as(shares, {32, positions, 1}), cube), with_cache(value)), {1});
    return matmul(as(mixed, {1, 4'096}), weight({4'096, 4'096}));
  }
  NodeId feed_forward(NodeId x) {
    const NodeId gate = matmul(x, weight({4'096, 11'008}));
    const NodeId silu = div(gate, add(exp(mul(gate, like(gate, -1))), like(gate, 1)));
    return matmul(mul(silu, matmul(x, weight({4'096, 11'008}))), weight({11'008, 4'096}));
  }
  NodeId llama7b(int64_t positions) {
    const NodeId token = to(in("token", {1, 1}, DType::I32), {32'000, 1});
    const NodeId mask = to(cast(equal(counting({32'000, 1}, 0), token), DType::F32), {32'000, 4'096});
    NodeId x = sum(mul(mask, weight({32'000, 4'096})), {0});
    for (int layer = 0; layer < 32; ++layer) {
      x = add(x, attention(rms_normalised(x), positions));
      x = add(x, feed_forward(rms_normalised(x)));
    }
    return matmul(rms_normalised(x), weight({4'096, 32'000}));
  }

 private:
  int weights_ = 0;
};

TEST_CASE("a multilayer perceptron's forward pass is 2MNK a layer and its element-wise work") {
  Network net;
  NodeId x = net.in("x", {128, 784});
  UInt128 expected = 0;
  for (int64_t width : {512, 512, 10}) {
    expected += static_cast<UInt128>(2 * 128 * net.shape(x)[1] * width + 2 * 128 * width);
    x = net.matmul(x, net.weight({net.shape(x)[1], width}));
    x = net.relu(net.add(x, net.to(net.as(net.weight({width}), {1, width}), {128, width})));
  }
  CHECK(counted(net.done(x)).flops.count == expected);
}

TEST_CASE("a convolution counts 2 for each output and weight that it uses") {
  Network net;
  const NodeId y = net.convolution(net.in("x", {4, 16, 30, 30}), 32, 3, 2, 1);
  REQUIRE(net.size_of(y) == Shape{4, 32, 15, 15});
  CHECK(counted(net.done(y)).flops.count == 2 * 4 * 32 * 15 * 15 * 16 * 9);
}

TEST_CASE("ResNet-50 forward is 8.262 GFLOP an image") {
  Network net;
  CHECK(gflop(net.done(net.resnet50(1))) == Approx(8.262).epsilon(0.03));
  Network batch;
  CHECK(gflop(batch.done(batch.resnet50(16))) == Approx(16 * 8.262).epsilon(0.03));
}

TEST_CASE("a token of LLaMA-7B with a cache of 9 positions is 13.488 GFLOP") {
  Network net;
  CHECK(gflop(net.done(net.llama7b(9))) == Approx(13.488).epsilon(0.001));
}

TEST_CASE("a cache of 1,024 positions adds 4 to 12 percent to a token of LLaMA-7B") {
  Network net;
  const double grown = gflop(net.done(net.llama7b(1'024))) / 13.488;
  CHECK(grown > 1.04);
  CHECK(grown < 1.12);
}

TEST_CASE("tariff 2 changes what known networks cost by less than 3 percent") {
  const auto check = [](const std::string& name, const graph::Graph& graph, const meter::Usage& usage = {}) {
    const graph::NormalGraph normal = graph::normalise(graph);
    const auto first = meter::count(normal, usage, meter::Tariff::One).value();
    const auto second = meter::count(normal, usage, meter::Tariff::Two).value();
    const double ratio = static_cast<double>(second.metered().count) / static_cast<double>(first.metered().count);
    INFO(name << ": tariff 1 " << first.metered().to_string() << ", tariff 2 " << second.metered().to_string()
              << ", of it index work " << to_decimal(second.index_work));
    CHECK(ratio >= 1);
    CHECK(ratio < 1.03);
  };
  const auto network = [](auto write) {
    Network net;
    return net.done(write(net));
  };
  check("ResNet-50", network([](Network& net) { return net.resnet50(1); }));
  check("ResNet-50, 16 images", network([](Network& net) { return net.resnet50(16); }));
  check("LLaMA-7B, 9 positions", network([](Network& net) { return net.llama7b(9); }));
  check("LLaMA-7B, 1,024 positions", network([](Network& net) { return net.llama7b(1'024); }));
}

TEST_CASE("kernels of known networks stay few") {
  Network resnet;
  const auto images = counted(resnet.done(resnet.resnet50(1)));
  INFO("ResNet-50: " << images.stored_values << " stored values");
  CHECK(images.stored_values <= 53 + 1 + 1 + 1 + 17 * 2);  // convolutions, pooling twice, classifier, two a block
  Network llama;
  const auto token = counted(llama.done(llama.llama7b(1'024)));
  INFO("LLaMA-7B: " << token.stored_values << " stored values");
  CHECK(token.stored_values <= 32 * 20);
}

}  // namespace
}  // namespace quarry::testing
