// A File that goes wrong on demand, for tests.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include "memory/file.h"
#include "plimsoll/error.h"

namespace plimsoll::memory {

/// What goes wrong; shared between the test and the files made under it. Counts start at 1; 0:
/// never.
struct FileFaults {
  std::atomic<int> fail_write{0};    // the k-th write raises `error`
  std::atomic<int> fail_read{0};     // the k-th read raises `error`
  std::atomic<int> corrupt_read{0};  // one bit of the k-th read is wrong
  std::atomic<int> error{EIO};
  std::atomic<bool> short_transfers{false};  // every transfer moves half, in whole blocks
  std::atomic<uint64_t> disk_bytes{~0ull};   // allocate past this raises ENOSPC
  std::atomic<bool> no_fallocate{false};
  std::function<void()> before_write;  // runs in the I/O thread
  std::atomic<uint64_t> truncated_to{~0ull};
  std::atomic<int> writes{0}, reads{0};
};

class FaultyFile final : public File {
 public:
  FaultyFile(std::shared_ptr<File> base, FileFaults* faults)
      : base_(std::move(base)), faults_(faults) {}

  size_t pread(std::span<std::byte> to, uint64_t offset) override {
    int n = ++faults_->reads;
    if (n == faults_->fail_read) throw IoError("[test] injected read error", faults_->error);
    size_t got = base_->pread(cut(to), offset);
    if (n == faults_->corrupt_read) to[got / 2] ^= std::byte{16};
    return got;
  }
  size_t pwrite(std::span<const std::byte> from, uint64_t offset) override {
    int n = ++faults_->writes;
    if (faults_->before_write) faults_->before_write();
    if (n == faults_->fail_write) throw IoError("[test] injected write error", faults_->error);
    return base_->pwrite(cut(from), offset);
  }
  bool allocate(uint64_t offset, uint64_t size) override {
    if (offset + size > faults_->disk_bytes) throw IoError("[test] disk full", ENOSPC);
    return faults_->no_fallocate ? false : base_->allocate(offset, size);
  }
  void punch(uint64_t offset, uint64_t size) noexcept override { base_->punch(offset, size); }
  void truncate(uint64_t size) override {
    faults_->truncated_to = size;
    base_->truncate(size);
  }
  void sync() override { base_->sync(); }
  uint64_t size() override { return base_->size(); }
  std::string name() const override { return base_->name(); }
  FileIdentity identity() override { return base_->identity(); }
  void drop_cache(uint64_t offset, uint64_t size) noexcept override {
    base_->drop_cache(offset, size);
  }
  bool direct() const override { return base_->direct(); }

 private:
  template <typename Span>
  Span cut(Span span) const {
    constexpr size_t kBlock = 4096;
    if (!faults_->short_transfers || span.size() <= kBlock) return span;
    return span.first(std::max(kBlock, span.size() / 2 / kBlock * kBlock));
  }
  std::shared_ptr<File> base_;
  FileFaults* faults_;
};

}  // namespace plimsoll::memory
