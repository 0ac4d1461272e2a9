// A mutex that clang's thread-safety analysis understands, and the annotations.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define PLIMSOLL_TSA_(x) __attribute__((x))
#else
#define PLIMSOLL_TSA_(x)
#endif

#define GUARDED_BY(x) PLIMSOLL_TSA_(guarded_by(x))
#define REQUIRES(...) PLIMSOLL_TSA_(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) PLIMSOLL_TSA_(locks_excluded(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS PLIMSOLL_TSA_(no_thread_safety_analysis)

namespace plimsoll {

class PLIMSOLL_TSA_(capability("mutex")) Mutex {
 public:
  void lock() PLIMSOLL_TSA_(acquire_capability()) { mutex_.lock(); }
  void unlock() PLIMSOLL_TSA_(release_capability()) { mutex_.unlock(); }
  bool try_lock() PLIMSOLL_TSA_(try_acquire_capability(true)) { return mutex_.try_lock(); }

 private:
  std::mutex mutex_;
};

class PLIMSOLL_TSA_(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) PLIMSOLL_TSA_(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.lock();
  }
  ~MutexLock() PLIMSOLL_TSA_(release_capability()) { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

/// Waits on a Mutex that the caller holds; always in a loop over the condition.
class CondVar {
 public:
  void wait(Mutex& mutex) REQUIRES(mutex) { cv_.wait(mutex); }
  /// False where the time came first.
  bool wait_until(Mutex& mutex, std::chrono::steady_clock::time_point time) REQUIRES(mutex) {
    return cv_.wait_until(mutex, time) == std::cv_status::no_timeout;
  }
  void notify_one() { cv_.notify_one(); }
  void notify_all() { cv_.notify_all(); }

 private:
  std::condition_variable_any cv_;
};

}  // namespace plimsoll
