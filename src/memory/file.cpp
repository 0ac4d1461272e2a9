#include "memory/file.h"

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "base/platform_linux.h"

namespace plimsoll::memory {
namespace {

constexpr Bytes kDirectAlignment = 4 * kKiB;

[[noreturn]] void raise_io(std::string_view what, const std::string& name, int error) {
  throw IoError(fmt::format("[file] {} {} failed: {}", what, name, platform::error_text(error)),
                error);
}

class LinuxFile final : public File {
 public:
  LinuxFile(int fd, std::string name, bool direct, FaultPlan* faults)
      : fd_(fd), name_(std::move(name)), direct_(direct), faults_(faults) {}
  ~LinuxFile() override { platform::close_file(fd_); }

  size_t pread(std::span<std::byte> to, uint64_t offset) override {
    if (should_fail(faults_, FaultSite::kFileRead)) raise_io("reading", name_, EIO);
    int64_t n = platform::read_at(fd_, to.data(), to.size(), offset);
    if (n < 0) raise_io("reading", name_, errno);
    return static_cast<size_t>(n);
  }

  size_t pwrite(std::span<const std::byte> from, uint64_t offset) override {
    if (should_fail(faults_, FaultSite::kFileWrite)) raise_io("writing", name_, EIO);
    int64_t n = platform::write_at(fd_, from.data(), from.size(), offset);
    if (n < 0) raise_io("writing", name_, errno);
    if (n == 0 && !from.empty()) raise_io("writing", name_, ENOSPC);
    return static_cast<size_t>(n);
  }

  bool allocate(uint64_t offset, uint64_t size) override {
    if (should_fail(faults_, FaultSite::kFileAllocate)) raise_io("allocating", name_, ENOSPC);
    int error = platform::allocate_file(fd_, offset, size);
    if (error == 0) return true;
    if (error != EOPNOTSUPP && error != ENOSYS) raise_io("allocating", name_, error);
    return false;
  }

  void punch(uint64_t offset, uint64_t size) noexcept override {
    platform::punch_file(fd_, offset, size);
  }
  void truncate(uint64_t size) override {
    if (int error = platform::truncate_file(fd_, size)) raise_io("truncating", name_, error);
  }
  void sync() override {
    if (int error = platform::sync_file(fd_)) raise_io("flushing", name_, error);
  }
  uint64_t size() override { return identity().size; }
  FileIdentity identity() override {
    auto s = platform::stat_file(fd_);
    if (!s) raise_io("examining", name_, errno);
    return {s->device, s->inode, s->size, s->mtime_ns, s->ctime_ns};
  }
  void drop_cache(uint64_t offset, uint64_t size) noexcept override {
    if (!direct_) platform::drop_file_cache(fd_, offset, size);
  }
  bool direct() const override { return direct_; }

 private:
  const int fd_;
  const std::string name_;
  const bool direct_;
  FaultPlan* const faults_;
};

}  // namespace

void read_exact(File& file, std::span<std::byte> to, uint64_t offset) {
  while (!to.empty()) {
    size_t n = file.pread(to, offset);
    if (n == 0)
      throw IoError(
          fmt::format("[file] expected {} more bytes at offset {}, got the end of the file",
                      to.size(), offset));
    // After a short direct transfer the rest may start unaligned: ask for its last block again.
    if (file.direct() && n < to.size()) {
      n = round_down(n, kDirectAlignment);
      if (n == 0) throw IoError("[file] expected at least one block of a direct read, got less");
    }
    to = to.subspan(n);
    offset += n;
  }
}

void write_all(File& file, std::span<const std::byte> from, uint64_t offset) {
  while (!from.empty()) {
    size_t n = file.pwrite(from, offset);
    if (file.direct() && n < from.size()) {
      n = round_down(n, kDirectAlignment);
      if (n == 0) throw IoError("[file] expected at least one block of a direct write, got less");
    }
    from = from.subspan(n);
    offset += n;
  }
}

std::shared_ptr<File> open_for_reading(const std::string& path, FaultPlan* faults) {
  int fd = platform::open_read_only(path);
  if (fd < 0) raise_io("opening", path, errno);
  return std::make_shared<LinuxFile>(fd, path, false, faults);
}

std::unique_ptr<File> open_scratch(const std::string& directory, bool direct, FaultPlan* faults) {
  int fd = direct ? platform::open_unlinked(directory, true) : -1;
  bool got_direct = fd >= 0;
  if (fd < 0) fd = platform::open_unlinked(directory, false);
  if (fd < 0) raise_io("creating a spill file in", directory, errno);
  return std::make_unique<LinuxFile>(fd, "the spill file in " + directory, got_direct, faults);
}

FileSource::FileSource(std::shared_ptr<File> file, uint64_t offset)
    : file_(std::move(file)), offset_(offset), identity_(file_->identity()) {}

void FileSource::read(std::span<std::byte> to, uint64_t offset_in_buffer) {
  check_identity();
  uint64_t offset = offset_ + offset_in_buffer;
  read_exact(*file_, to, offset);
  file_->drop_cache(offset, to.size());
  check_identity();
}

void FileSource::check_identity() {
  if (file_->identity() != identity_)
    throw IoError(
        "[load] expected the file of a lazily loaded array to stay as it was, got one that was "
        "changed since; load it again, and write new files under a temporary name");
}

}  // namespace plimsoll::memory
