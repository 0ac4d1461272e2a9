// A few threads that run transfers; none of them is needed for progress.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/fault_plan.h"
#include "base/mutex.h"

namespace plimsoll::memory {

/// Thread-safe. Threads start with the first job; where none can start, whoever waits runs the jobs
/// through run_one().
class IoQueue {
 public:
  using Job = std::function<void()>;

  IoQueue(int threads, FaultPlan* faults) : wanted_(threads), faults_(faults) {}
  /// Runs what is queued, then joins.
  ~IoQueue();
  IoQueue(const IoQueue&) = delete;
  IoQueue& operator=(const IoQueue&) = delete;

  /// Urgent jobs (somebody will wait for them) run before the others.
  void submit(Job job, bool urgent);
  /// Runs one queued job on this thread; false where there is none.
  bool run_one();
  /// Until nothing is queued or running.
  void drain();
  int threads() const { return running_.load(); }
  /// In a forked child: the threads are not there to be joined.
  void forget_threads() noexcept NO_THREAD_SAFETY_ANALYSIS;

 private:
  void start_thread() REQUIRES(mutex_);
  void work();
  bool pop(Job* job) REQUIRES(mutex_);
  void finish(Job job);

  const int wanted_;
  FaultPlan* const faults_;
  std::atomic<int> running_{0};
  bool forgotten_ = false;
  Mutex mutex_;
  CondVar changed_;
  CondVar idle_;
  std::deque<Job> urgent_ GUARDED_BY(mutex_);
  std::deque<Job> jobs_ GUARDED_BY(mutex_);
  int active_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_ GUARDED_BY(mutex_);
};

}  // namespace plimsoll::memory
