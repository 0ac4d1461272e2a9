// The seam between the spill store (and io/) and the file system: tests replace it to inject
// faults.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/fault_plan.h"
#include "base/mutex.h"

namespace plimsoll::memory {

/// What tells one version of a file from another.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  uint64_t links = 0;
  int64_t mtime_ns = 0;
  int64_t ctime_ns = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

/// Every call raises IoError (with errno) on failure. Reads and writes at different offsets may run
/// at once.
class File {
 public:
  virtual ~File() = default;
  /// May read fewer bytes than asked; 0 only at the end of the file.
  virtual size_t pread(std::span<std::byte> to, uint64_t offset) = 0;
  /// May write fewer bytes than asked, never 0.
  virtual size_t pwrite(std::span<const std::byte> from, uint64_t offset) = 0;
  /// Makes [offset, offset + size) exist on the disk. False where the file system cannot promise it
  /// (no fallocate); ENOSPC raises.
  virtual bool allocate(uint64_t offset, uint64_t size) = 0;
  /// Gives the blocks of a range back; best effort.
  virtual void punch(uint64_t offset, uint64_t size) noexcept = 0;
  virtual void truncate(uint64_t size) = 0;
  virtual void sync() = 0;
  virtual uint64_t size() = 0;
  virtual FileIdentity identity() = 0;
  /// What messages call it.
  virtual std::string name() const = 0;
  /// Drops the page cache of a range (after flushing it where it is dirty); best effort.
  virtual void drop_cache(uint64_t offset, uint64_t size) noexcept = 0;
  /// True where offsets, sizes and addresses must be multiples of 4 KiB (O_DIRECT).
  virtual bool direct() const = 0;
};

/// Loop over short transfers until all is done. A read past the end raises IoError.
void read_exact(File& file, std::span<std::byte> to, uint64_t offset);
void write_all(File& file, std::span<const std::byte> from, uint64_t offset);

/// Read-only. What is in the page cache is taken from there; the rest is read past it where the
/// file system can, and leaves nothing in it.
std::shared_ptr<File> open_for_reading(const std::string& path, FaultPlan* faults = nullptr);

/// An unlinked file for reading and writing in `directory`: O_TMPFILE, else created and unlinked.
/// O_DIRECT where `direct` is asked for and the file system has it.
std::unique_ptr<File> open_scratch(const std::string& directory, bool direct,
                                   FaultPlan* faults = nullptr);

/// Takes over an open descriptor of a file that is written once, in any order, and maybe read
/// again. Aligned writes go past the page cache where the file system can.
std::shared_ptr<File> adopt_output(int fd, std::string name, FaultPlan* faults = nullptr);

/// How the bytes of a file become those of a buffer.
enum class Decode : uint8_t { kAsIs, kSwap2, kSwap4, kSwap8, kBool };

/// A source of clean bytes: extents of a buffer can be read again from it, so evicting them costs
/// no write. The identity is checked before and after every read; a mismatch raises IoError. Only
/// the number of the file's names may change (as when a new version is renamed over it).
/// Thread-safe.
class FileSource {
 public:
  /// Byte 0 of the buffer is byte `offset` of the file. Takes the file's identity now.
  FileSource(std::shared_ptr<File> file, uint64_t offset, Decode decode = Decode::kAsIs);
  /// REQUIRES: whole elements, where bytes are swapped.
  void read(std::span<std::byte> to, uint64_t offset_in_buffer);
  FileIdentity identity() const;

 private:
  void check_identity();
  std::shared_ptr<File> file_;
  const uint64_t offset_;
  const Decode decode_;
  mutable Mutex mutex_;
  FileIdentity identity_ GUARDED_BY(mutex_);
};

/// Where a buffer's dirty bytes go in place of the spill store: byte 0 of the buffer is byte
/// `offset` of the file. What was written can be read again. Thread-safe.
class FileSink {
 public:
  FileSink(std::shared_ptr<File> file, uint64_t offset, Bytes size)
      : file_(std::move(file)), offset_(offset), size_(size) {}
  Bytes size() const { return size_; }
  /// Leaves nothing in the page cache. Ranges that are written at the same time must not overlap.
  /// Raises Error after seal().
  void write(std::span<const std::byte> from, uint64_t offset_in_buffer);
  /// REQUIRES: the range was written.
  void read(std::span<std::byte> to, uint64_t offset_in_buffer);
  /// The file is complete and has its name: it is not written any more, and reads check from now
  /// on that it stays as it is. REQUIRES: no write is under way.
  void seal();
  bool sealed() const { return sealed_.load(std::memory_order_acquire); }

 private:
  const std::shared_ptr<File> file_;
  const uint64_t offset_;
  const Bytes size_;
  std::unique_ptr<FileSource> source_;  // once sealed
  std::atomic<bool> sealed_{false};
};

}  // namespace plimsoll::memory
