#include "memory/io_queue.h"

#include <new>
#include <system_error>
#include <utility>

namespace plimsoll::memory {

IoQueue::~IoQueue() {
  if (forgotten_) return;
  while (run_one()) {
  }
  std::vector<std::thread> threads;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  changed_.notify_all();
  for (std::thread& t : threads) t.join();
}

void IoQueue::submit(Job job, bool urgent) {
  {
    MutexLock lock(mutex_);
    (urgent ? urgent_ : jobs_).push_back(std::move(job));
    if (running_.load() < wanted_) start_thread();
  }
  changed_.notify_one();
}

void IoQueue::start_thread() {
  if (should_fail(faults_, FaultSite::kThreadStart)) return;
  try {
    threads_.reserve(threads_.size() + 1);
    threads_.emplace_back([this] { work(); });
    running_.fetch_add(1);
  } catch (const std::system_error&) {
    // The jobs run all the same, in whoever waits for them.
  }
}

bool IoQueue::pop(Job* job) {
  std::deque<Job>& queue = urgent_.empty() ? jobs_ : urgent_;
  if (queue.empty()) return false;
  *job = std::move(queue.front());
  queue.pop_front();
  ++active_;
  return true;
}

void IoQueue::finish(Job job) {
  job();
  job = nullptr;  // what it holds goes before it counts as done
  {
    MutexLock lock(mutex_);
    --active_;
  }
  idle_.notify_all();
}

void IoQueue::drain() {
  while (run_one()) {
  }
  MutexLock lock(mutex_);
  while (active_ != 0 || !urgent_.empty() || !jobs_.empty()) idle_.wait(mutex_);
}

bool IoQueue::run_one() {
  Job job;
  {
    MutexLock lock(mutex_);
    if (!pop(&job)) return false;
  }
  finish(std::move(job));
  return true;
}

void IoQueue::work() {
  while (true) {
    Job job;
    {
      MutexLock lock(mutex_);
      while (!pop(&job)) {
        if (stopping_) return;
        changed_.wait(mutex_);
      }
    }
    finish(std::move(job));
  }
}

void IoQueue::forget_threads() noexcept {
  forgotten_ = true;
  // The parent's jobs are not ours to run, nor are its locks ours to take: both are left behind.
  for (std::thread& t : threads_) t.detach();
  new (std::nothrow) std::deque<Job>(std::move(urgent_));
  new (std::nothrow) std::deque<Job>(std::move(jobs_));
}

}  // namespace plimsoll::memory
