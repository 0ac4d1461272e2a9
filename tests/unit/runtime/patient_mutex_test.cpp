// Waiting for another thread's evaluation. Under ThreadSanitizer also: that it sees the lock.
#include "runtime/patient_mutex.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "plimsoll/error.h"

namespace plimsoll::runtime {
namespace {

TEST(PatientMutex, a_waiter_polls_and_then_sees_what_the_holder_wrote) {
  std::atomic<int> polls{0};
  InterruptPoll poll = [&] { return ++polls == 0; };
  PatientMutex mutex(poll);
  int shared = 0;
  mutex.lock();
  std::thread waiter([&] {
    std::unique_lock lock(mutex);
    shared *= 2;
  });
  while (polls.load() == 0) std::this_thread::yield();
  shared = 21;
  mutex.unlock();
  waiter.join();
  EXPECT_EQ(shared, 42);
}

TEST(PatientMutex, an_interrupt_ends_the_wait_and_leaves_the_lock_to_its_holder) {
  InterruptPoll poll = [] { return true; };
  PatientMutex mutex(poll);
  int shared = 0;
  mutex.lock();
  std::thread([&] { EXPECT_THROW(mutex.lock(), Interrupted); }).join();
  mutex.lock();  // the holder may take it again
  mutex.unlock();
  shared = 1;
  std::thread waiter([&] {
    mutex.lock_undisturbed();
    ++shared;
    mutex.unlock();
  });
  mutex.unlock();
  waiter.join();
  EXPECT_EQ(shared, 2);
}

}  // namespace
}  // namespace plimsoll::runtime
