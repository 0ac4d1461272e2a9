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
  // By the system's clock: ThreadSanitizer does not see a lock that waits by the steady one
  // (pthread_mutex_clocklock). A clock that is set back only puts off a poll.
  const auto soon = [] { return std::chrono::system_clock::now() + std::chrono::milliseconds(50); };
  while (!stopped && !mutex_.try_lock_until(soon())) stopped = poll && *poll && (*poll)();
  if (left) enter_hook.load()(left);
  if (stopped) throw Interrupted("[eval] interrupted while another thread's evaluation ran");
}

}  // namespace runtime

void set_wait_hooks(WaitHooks hooks) {
  runtime::leave_hook = hooks.leave;
  runtime::enter_hook = hooks.enter;
}

}  // namespace plimsoll
