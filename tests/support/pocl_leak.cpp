// For programs that compile many kernels with PoCL 3.1: linked in, it silences what PoCL leaks itself.
#ifdef __SANITIZE_ADDRESS__
/// PoCL keeps LLVM's pass managers in a table of its own and loses that table (16 bytes, once a process, always
/// allocated at the same place in libpocl; LLVM's passes hang on it). What our code fails to release would be silenced
/// too: opencl_test, which makes and frees every kind of OpenCL object, is not linked with this.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libpocl.so\n";
}
#endif
