// The seam between the spill store (and io/) and the file system: tests replace it to inject
// faults.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/fault_plan.h"

namespace plimsoll::memory {

/// What tells one version of a file from another.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
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
  /// Drops the page cache of a range (after flushing it where it is dirty); best effort.
  virtual void drop_cache(uint64_t offset, uint64_t size) noexcept = 0;
  /// True where offsets, sizes and addresses must be multiples of 4 KiB (O_DIRECT).
  virtual bool direct() const = 0;
};

/// Loop over short transfers until all is done. A read past the end raises IoError.
void read_exact(File& file, std::span<std::byte> to, uint64_t offset);
void write_all(File& file, std::span<const std::byte> from, uint64_t offset);

/// Buffered, read-only.
std::shared_ptr<File> open_for_reading(const std::string& path, FaultPlan* faults = nullptr);

/// An unlinked file for reading and writing in `directory`: O_TMPFILE, else created and unlinked.
/// O_DIRECT where `direct` is asked for and the file system has it.
std::unique_ptr<File> open_scratch(const std::string& directory, bool direct,
                                   FaultPlan* faults = nullptr);

/// A source of clean bytes: extents of a buffer can be read again from it, so evicting them costs
/// no write. The identity is checked before and after every read; a mismatch raises IoError.
class FileSource {
 public:
  /// Byte 0 of the buffer is byte `offset` of the file. Takes the file's identity now.
  FileSource(std::shared_ptr<File> file, uint64_t offset);
  void read(std::span<std::byte> to, uint64_t offset_in_buffer);
  const FileIdentity& identity() const { return identity_; }

 private:
  void check_identity();
  std::shared_ptr<File> file_;
  uint64_t offset_;
  FileIdentity identity_;
};

}  // namespace plimsoll::memory
