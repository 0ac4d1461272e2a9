#include "runtime/patient_mutex.h"

#include <atomic>
#include <chrono>

namespace plimsoll {
namespace runtime {
namespace {

// Two atomics: one of both would need a library of its own.
std::atomic<void* (*)()> leave_hook{nullptr};
std::atomic<void (*)(void*)> enter_hook{nullptr};

}  // namespace

void PatientMutex::wait(const InterruptPoll* poll) {
  if (mutex_.try_lock()) return;
  auto leave = leave_hook.load();
  void* left = leave ? leave() : nullptr;
  bool stopped = false;
  while (!stopped && !mutex_.try_lock_for(std::chrono::milliseconds(50)))
    stopped = poll && *poll && (*poll)();
  if (left) enter_hook.load()(left);
  if (stopped) throw Interrupted("[eval] interrupted while another thread's evaluation ran");
}

}  // namespace runtime

void set_wait_hooks(WaitHooks hooks) {
  runtime::leave_hook = hooks.leave;
  runtime::enter_hook = hooks.enter;
}

}  // namespace plimsoll
