// The device of the stand-in: tensors are on `cuda:0`, their memory and arithmetic are the CPU's.
//
// In this order: the device and its memory; what a CUDA graph records; how any operation is done; operations
// that need code of their own; what Python calls.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/resize_native.h>
#include <ATen/ops/set_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/custom_class.h>
#include <torch/library.h>

#include <cstring>
#include <limits>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

// --- The device and its memory

namespace at {  // where PyTorch looks for it

struct CUDAHooks : CUDAHooksInterface {
  explicit CUDAHooks(CUDAHooksArgs) {}
  void init() const override {}
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return 1; }
  DeviceIndex getCurrentDevice() const override { return 0; }
  Device getDeviceFromPtr(void*) const override { return {DeviceType::CUDA, 0}; }
  bool compiledWithCuDNN() const override { return true; }
  bool hasCuDNN() const override { return true; }
  long versionCuDNN() const override { return 91000; }
  long versionRuntimeCuDNN() const override { return 91000; }
  double batchnormMinEpsilonCuDNN() const override { return 0; }
};
REGISTER_CUDA_HOOKS(CUDAHooks)

}  // namespace at

namespace {

using at::Tensor;
using c10::IValue;
using torch::jit::Stack;

c10::Device the_device() {
  return c10::Device(c10::DeviceType::CUDA, 0);
}

c10::Stream the_stream() {
  return c10::Stream(c10::Stream::DEFAULT, the_device());
}

struct Guard final : c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::CUDA> {
  c10::Device exchangeDevice(c10::Device) const override { return the_device(); }
  c10::Device getDevice() const override { return the_device(); }
  c10::Stream getStream(c10::Device) const noexcept override { return the_stream(); }
  c10::Stream getNewStream(c10::Device, int) const override { return the_stream(); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return the_stream(); }
};
C10_REGISTER_GUARD_IMPL(CUDA, Guard)

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* memory = c10::alloc_cpu(bytes);  // aligned: elsewhere the CPU's sums have another order
    if (bytes) std::memset(memory, 0xff, bytes);  // not a number: what is read before it is written shows
    return {memory, memory, &c10::free_cpu, the_device()};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &c10::free_cpu; }
  void copy_data(void* target, const void* source, size_t bytes) const override {
    std::memcpy(target, source, bytes);
  }
};
Memory the_memory;
REGISTER_ALLOCATOR(c10::DeviceType::CUDA, &the_memory)

bool is_there(const Tensor& tensor) {
  return tensor.defined() && tensor.device().type() == c10::DeviceType::CUDA;
}

// The same memory as a tensor of the CPU. It stays while the result does.
Tensor as_cpu(const Tensor& tensor) {
  const auto options = tensor.options().device(at::kCPU);
  if (tensor.numel() == 0) return at::empty_strided(tensor.sizes(), tensor.strides(), options);
  const auto keep = [storage = tensor.storage()](void*) {};
  return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(), keep, options);
}

Tensor empty_strided(
    at::IntArrayRef sizes, at::IntArrayRef strides, std::optional<at::ScalarType> type,
    std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  const auto kind = type.value_or(at::get_default_dtype_as_scalartype());
  const c10::DispatchKeySet keys(c10::DispatchKey::CUDA);
  return Tensor(at::detail::empty_strided_generic(sizes, strides, &the_memory, keys, kind));
}

Tensor empty(
    at::IntArrayRef sizes, std::optional<at::ScalarType> type, std::optional<at::Layout>,
    std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  const auto kind = type.value_or(at::get_default_dtype_as_scalartype());
  const c10::DispatchKeySet keys(c10::DispatchKey::CUDA);
  return Tensor(at::detail::empty_generic(sizes, &the_memory, keys, kind, format));
}

Tensor moved_there(const Tensor& tensor) {
  Tensor moved = at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options().device(the_device()));
  if (tensor.numel()) as_cpu(moved).copy_(tensor);
  return moved;
}

// --- What a CUDA graph records

std::mutex in_turn;  // the backward pass has threads of its own

// Where the device's random numbers come from.
at::Generator& the_generator() {
  static at::Generator generator = at::detail::createCPUGenerator();
  return generator;
}

// Inside, what operations draw comes from the device's generator; that of the CPU stays where it is.
class DrawsThere {
 public:
  DrawsThere() : turn_(in_turn), before_(of_cpu_.get_state()) {
    of_cpu_.set_state(the_generator().get_state());
  }
  ~DrawsThere() {
    the_generator().set_state(of_cpu_.get_state());
    of_cpu_.set_state(before_);
  }

 private:
  std::lock_guard<std::mutex> turn_;
  at::Generator of_cpu_ = at::detail::getDefaultCPUGenerator();
  Tensor before_;
};

void call(const c10::OperatorHandle& operation, Stack& stack) {
  if (operation.hasTag(at::Tag::nondeterministic_seeded)) {
    DrawsThere inside;
    operation.callBoxed(&stack);
  } else {
    operation.callBoxed(&stack);
  }
}

std::vector<Tensor> tensors_of(const IValue& value) {
  std::vector<Tensor> found;
  if (value.isTensor()) {
    found.push_back(value.toTensor());
  } else if (value.isTensorList()) {
    found = value.toTensorVector();
  } else if (value.isOptionalTensorList()) {
    for (const std::optional<Tensor>& each : value.toOptionalTensorList()) {
      found.push_back(each.value_or(Tensor()));
    }
  }
  return found;
}

// One operation and all the memory that it reads and writes.
struct Step {
  c10::OperatorHandle operation;
  Stack arguments;
  std::vector<std::vector<Tensor>> results;  // for each of what it returns; none where that is an argument

  void repeat() const {
    Stack again = arguments;
    call(operation, again);
    for (size_t index = 0; index < results.size(); index++) {
      const auto found = tensors_of(again[index]);
      for (size_t each = 0; each < results[index].size(); each++) results[index][each].copy_(found[each]);
    }
  }
};

struct Graph : torch::CustomClassHolder {
  std::vector<Step> steps;
  std::vector<std::pair<Tensor, Tensor>> before;  // memory, and what was in it: a recording computes nothing

  void begin();
  void end();
  void replay() {
    at::AutoDispatchBelowADInplaceOrView below;
    for (const auto& step : steps) step.repeat();
  }
  void will_write(const Tensor& tensor) {
    if (!is_there(tensor)) return;
    const Tensor memory = as_cpu(tensor);
    std::lock_guard<std::mutex> turn(in_turn);
    before.emplace_back(memory, memory.clone());
  }
  void has_made(const Tensor& memory) {
    if (!memory.is_floating_point()) return;
    std::lock_guard<std::mutex> turn(in_turn);
    before.emplace_back(memory, at::full_like(memory, std::numeric_limits<double>::quiet_NaN()));
  }
  void add(Step step) {
    std::lock_guard<std::mutex> turn(in_turn);
    steps.push_back(std::move(step));
  }
};
Graph* recorded = nullptr;  // the graph that is being recorded

void Graph::begin() {
  TORCH_CHECK(!recorded, "one graph is being recorded already");
  recorded = this;
}

void Graph::end() {
  recorded = nullptr;
  at::AutoDispatchBelowADInplaceOrView below;
  for (auto each = before.rbegin(); each != before.rend(); ++each) each->first.copy_(each->second);
  before.clear();
}

// --- How any operation is done

bool is_written(const c10::Argument& argument) {
  return argument.alias_info() && argument.alias_info()->isWrite();
}

// Operations whose result, or its shape, the CPU waits for.
const std::set<std::string> waits = {
    "aten::_linalg_eigh", "aten::_linalg_svd", "aten::_local_scalar_dense", "aten::_unique2",
    "aten::bincount",     "aten::equal",       "aten::masked_select",       "aten::nonzero",
};

void refuse_a_wait(const std::string& name, const Stack& given) {
  bool refused = waits.count(name);
  if (name == "aten::index") {
    for (const auto& each : tensors_of(given[1])) {
      refused |= each.defined() && each.scalar_type() == at::kBool;
    }
  }
  TORCH_CHECK(!refused, name, " makes the CPU wait for the device, which a CUDA graph cannot record");
}

// Tensors of the CPU go along with those of the device where they are copied, are indices, or one number.
void refuse_other_devices(const c10::FunctionSchema& schema, const Stack& given) {
  for (size_t index = 0; index < given.size(); index++) {
    const bool may_be_copied = schema.name() == "aten::copy_" || given[index].isOptionalTensorList();
    for (const auto& tensor : tensors_of(given[index])) {
      if (!tensor.defined() || is_there(tensor)) continue;
      TORCH_CHECK(
          !may_be_copied || !recorded,
          schema.name(), " copies between CPU and CUDA tensors, which a CUDA graph cannot record");
      TORCH_CHECK(
          may_be_copied || (tensor.dim() == 0 && !is_written(schema.arguments()[index])),
          schema.name(), ": expected all tensors to be on the same device, cuda:0, but argument ", index,
          " is on ", tensor.device(), " ", tensor.sizes());
    }
    TORCH_CHECK(!given[index].isGenerator(), schema.name(), ": expected a 'cuda' generator, but found 'cpu'");
  }
}

void remember_what_is_written(const c10::FunctionSchema& schema, const Stack& given) {
  // The running statistics, which its schema does not own up to.
  const bool is_batch_norm = schema.name() == "aten::native_batch_norm";
  for (size_t index = 0; index < given.size(); index++) {
    if (!is_written(schema.arguments()[index]) && !(is_batch_norm && (index == 3 || index == 4))) continue;
    for (const auto& tensor : tensors_of(given[index])) recorded->will_write(tensor);
  }
}

Tensor argument_on_cpu(const Tensor& tensor) {
  if (is_there(tensor)) return as_cpu(tensor);
  return tensor.defined() && recorded ? tensor.clone() : tensor;  // a recorded launch holds the number itself
}

IValue argument_on_cpu(const c10::Argument& argument, const IValue& value) {
  if (value.isDevice()) return c10::Device(at::kCPU);
  if (value.isTensor()) {
    const Tensor tensor = argument_on_cpu(value.toTensor());
    // An operation may give what it writes another size, and cannot do that to memory that is not its own.
    return argument.is_out() ? at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options()) : tensor;
  }
  if (value.isTensorList()) {
    c10::List<Tensor> list;
    for (const auto& each : tensors_of(value)) list.push_back(argument_on_cpu(each));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<Tensor>> list;
    for (const auto& each : tensors_of(value)) {
      list.push_back(each.defined() ? std::optional<Tensor>(argument_on_cpu(each)) : std::nullopt);
    }
    return list;
  }
  return value;
}

// A new tensor there; its memory is noted.
Tensor made_there(const Tensor& found, std::vector<Tensor>& memory) {
  if (!found.defined()) return found;
  const Tensor made = moved_there(found);
  memory.push_back(as_cpu(made));
  if (recorded) recorded->has_made(memory.back());
  return made;
}

IValue made_there(const IValue& found, std::vector<Tensor>& memory) {
  if (found.isTensor()) return made_there(found.toTensor(), memory);
  if (!found.isTensorList()) return found;
  c10::List<Tensor> list;
  for (const auto& each : tensors_of(found)) list.push_back(made_there(each, memory));
  return list;
}

// The argument that was written, as it was given.
IValue written(
    const c10::FunctionSchema& schema, const c10::AliasInfo& alias, const Stack& given, const IValue& found,
    std::vector<Tensor>& memory) {
  TORCH_CHECK(alias.isWrite(), schema.name(), " is a view, which the stand-in does not know");
  for (size_t index = 0; index < given.size(); index++) {
    const auto& argument = schema.arguments()[index];
    if (!argument.alias_info() || !(*argument.alias_info() == alias)) continue;
    if (argument.is_out()) {
      given[index].toTensor().resize_(found.toTensor().sizes());
      memory.push_back(as_cpu(given[index].toTensor()));
      memory.back().copy_(found.toTensor());
    }
    return given[index];
  }
  TORCH_CHECK(false, schema.name(), " returns what it was not given");
}

void on_the_cpu(const c10::OperatorHandle& operation, Stack* stack) {
  at::AutoDispatchBelowADInplaceOrView below;
  const auto& schema = operation.schema();
  const Stack given = torch::jit::pop(*stack, schema.arguments().size());
  refuse_other_devices(schema, given);
  if (recorded) {
    refuse_a_wait(schema.name(), given);
    remember_what_is_written(schema, given);
  }
  Step step{operation, {}, {}};
  for (size_t index = 0; index < given.size(); index++) {
    step.arguments.push_back(argument_on_cpu(schema.arguments()[index], given[index]));
  }
  Stack found = step.arguments;
  call(operation, found);
  step.results.resize(found.size());
  for (size_t index = 0; index < found.size(); index++) {
    const auto* alias = schema.returns()[index].alias_info();
    auto& memory = step.results[index];
    stack->push_back(
        alias ? written(schema, *alias, given, found[index], memory) : made_there(found[index], memory));
  }
  if (recorded) recorded->add(std::move(step));
}

// --- Operations that need code of their own

// Batch norm in training has the derivatives of cuDNN's, which are not those of the CPU's.
std::tuple<Tensor, Tensor, Tensor, Tensor> cudnn_batch_norm(
    const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias,
    const std::optional<Tensor>& mean, const std::optional<Tensor>& variance, bool training, double momentum,
    double epsilon) {
  auto [output, batch_mean, batch_deviation] =
      at::native_batch_norm(input, weight, bias, mean, variance, training, momentum, epsilon);
  return {output, batch_mean, batch_deviation, at::empty({0}, input.options().dtype(at::kByte))};
}

std::tuple<Tensor, Tensor, Tensor> cudnn_batch_norm_backward(
    const Tensor& input, const Tensor& gradient, const Tensor& weight, const std::optional<Tensor>& mean,
    const std::optional<Tensor>& variance, const std::optional<Tensor>& batch_mean,
    const std::optional<Tensor>& batch_deviation, double epsilon, const Tensor&) {
  return at::native_batch_norm_backward(
      gradient, input, weight, mean, variance, batch_mean, batch_deviation, /*train=*/true, epsilon,
      /*output_mask=*/{true, true, true});
}

Tensor zeros(
    at::IntArrayRef sizes, std::optional<at::ScalarType> type, std::optional<at::Layout> layout,
    std::optional<at::Device> device, std::optional<bool> pinned) {
  return empty(sizes, type, layout, device, pinned, std::nullopt).zero_();
}

TORCH_LIBRARY_IMPL(_, CUDA, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&on_the_cpu>());
}

TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("empty.memory_format", empty);
  library.impl("empty_strided", empty_strided);
  library.impl("_efficientzerotensor", zeros);
  library.impl("cudnn_batch_norm", cudnn_batch_norm);
  library.impl("cudnn_batch_norm_backward", cudnn_batch_norm_backward);
  // They know nothing of devices.
  library.impl("view", at::native::view);
  library.impl("as_strided", at::native::as_strided_tensorimpl);
  library.impl("_reshape_alias", at::native::_reshape_alias);
  library.impl("unfold", at::native::unfold);
  library.impl("resize_", at::native::resize_);
  library.impl("set_.source_Storage", static_cast<Tensor& (*)(Tensor&, at::Storage)>(at::native::set_));
  library.impl("set_.source_Storage_storage_offset", at::native::set_storage_cpu_);
  // Otherwise they would look for what CUDA has of its own.
  library.impl("copy_", torch::CppFunction::makeFromBoxedFunction<&on_the_cpu>());
  library.impl("convolution", torch::CppFunction::makeFromBoxedFunction<&on_the_cpu>());
  library.impl("convolution_backward", torch::CppFunction::makeFromBoxedFunction<&on_the_cpu>());
}

// --- What Python calls

bool is_recording() {
  return recorded != nullptr;
}

at::Generator generator() {
  return the_generator();
}

TORCH_LIBRARY(cuda_stand_in, library) {
  library.class_<Graph>("Graph")
      .def(torch::init<>())
      .def("begin", &Graph::begin)
      .def("end", &Graph::end)
      .def("replay", &Graph::replay);
  library.def("is_recording", is_recording);
  library.def("generator", generator);
}

}  // namespace
