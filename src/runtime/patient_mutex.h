// Waiting for another thread's evaluation without standing in its way.
#pragma once

#include <mutex>

#include "plimsoll/memory.h"

namespace plimsoll::runtime {

/// A recursive mutex whose waiters give up the caller's interpreter lock (see WaitHooks) and hear
/// interrupts.
class PatientMutex {
 public:
  explicit PatientMutex(const InterruptPoll& poll) : poll_(poll) {}
  /// Throws Interrupted where the poll says so.
  void lock() { wait(&poll_); }
  void lock_undisturbed() { wait(nullptr); }
  void unlock() { mutex_.unlock(); }

 private:
  void wait(const InterruptPoll* poll);

  const InterruptPoll& poll_;
  std::recursive_timed_mutex mutex_;
};

}  // namespace plimsoll::runtime
