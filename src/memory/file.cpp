#include "memory/file.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/platform_linux.h"

namespace plimsoll::memory {
namespace {

constexpr Bytes kDirectAlignment = 4 * kKiB;
constexpr Bytes kLeastDirectRead = 256 * kKiB;
constexpr int64_t kLeastDropped = 64 * kKiB;

[[noreturn]] void raise_io(std::string_view what, const std::string& name, int error) {
  throw IoError(fmt::format("[file] {} {} failed: {}", what, name, platform::error_text(error)),
                error);
}

class LinuxFile final : public File {
 public:
  /// `blocks`: the same file with O_DIRECT, for what is aligned; -1 for none. `tidy`: reads leave
  /// the page cache as they found it.
  LinuxFile(int fd, int blocks, std::string name, bool direct, bool tidy, FaultPlan* faults)
      : fd_(fd),
        blocks_(blocks),
        name_(std::move(name)),
        direct_(direct),
        tidy_(tidy),
        faults_(faults) {}
  ~LinuxFile() override {
    if (blocks_ >= 0) platform::close_file(blocks_);
    platform::close_file(fd_);
  }

  size_t pread(std::span<std::byte> to, uint64_t offset) override {
    if (should_fail(faults_, FaultSite::kFileRead)) raise_io("reading", name_, EIO);
    bool cached = tidy_ && platform::is_cached(fd_, offset, to.size());
    if (!cached)
      if (size_t n = read_blocks(to, offset)) return n;
    int64_t n = platform::read_at(fd_, to.data(), to.size(), offset);
    if (n < 0) raise_io("reading", name_, errno);
    // Small reads may come back to the same page.
    if (tidy_ && !cached && n >= kLeastDropped)
      platform::drop_file_cache(fd_, offset, static_cast<uint64_t>(n));
    return static_cast<size_t>(n);
  }

  size_t pwrite(std::span<const std::byte> from, uint64_t offset) override {
    if (should_fail(faults_, FaultSite::kFileWrite)) raise_io("writing", name_, EIO);
    if (size_t n = write_blocks(from, offset)) return n;
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
  std::string name() const override { return name_; }
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
    return {s->device, s->inode, s->size, s->links, s->mtime_ns, s->ctime_ns};
  }
  void drop_cache(uint64_t offset, uint64_t size) noexcept override {
    if (!direct_) platform::drop_file_cache(fd_, offset, size);
  }
  bool direct() const override { return direct_; }

 private:
  static bool aligned(const std::byte* p) {
    return reinterpret_cast<uintptr_t>(p) % kDirectAlignment == 0;
  }

  // Past the page cache. A read may have to start up to a block early: what came is moved down, and
  // the end is left to the next read. 0 where the buffered way is to be taken, which also reports
  // errors.
  size_t read_blocks(std::span<std::byte> to, uint64_t offset) const {
    if (blocks_ < 0 || to.size() < kLeastDirectRead || !aligned(to.data())) return 0;
    uint64_t early = offset % kDirectAlignment;
    int64_t n = platform::read_at(blocks_, to.data(), round_down(to.size(), kDirectAlignment),
                                  offset - early);
    if (n <= static_cast<int64_t>(early)) return 0;
    if (early != 0) std::memmove(to.data(), to.data() + early, static_cast<size_t>(n) - early);
    return static_cast<size_t>(n) - early;
  }

  size_t write_blocks(std::span<const std::byte> from, uint64_t offset) const {
    size_t size = round_down(from.size(), kDirectAlignment);
    if (blocks_ < 0 || size == 0 || !aligned(from.data()) || offset % kDirectAlignment != 0)
      return 0;
    int64_t n = platform::write_at(blocks_, from.data(), size, offset);
    return n > 0 ? static_cast<size_t>(n) : 0;
  }

  const int fd_;
  const int blocks_;
  const std::string name_;
  const bool direct_;
  const bool tidy_;
  FaultPlan* const faults_;
};

template <typename T>
void swap_elements(std::span<std::byte> bytes) {
  for (size_t i = 0; i + sizeof(T) <= bytes.size(); i += sizeof(T)) {
    T v;
    std::memcpy(&v, bytes.data() + i, sizeof(T));
    if constexpr (sizeof(T) == 2) v = __builtin_bswap16(v);
    if constexpr (sizeof(T) == 4) v = __builtin_bswap32(v);
    if constexpr (sizeof(T) == 8) v = __builtin_bswap64(v);
    std::memcpy(bytes.data() + i, &v, sizeof(T));
  }
}

void decode(std::span<std::byte> bytes, Decode how) {
  switch (how) {
    case Decode::kAsIs:
      return;
    case Decode::kSwap2:
      return swap_elements<uint16_t>(bytes);
    case Decode::kSwap4:
      return swap_elements<uint32_t>(bytes);
    case Decode::kSwap8:
      return swap_elements<uint64_t>(bytes);
    case Decode::kBool:
      for (std::byte& b : bytes) b = std::byte{b != std::byte{0}};
  }
}

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
  if (fd < 0 && (errno == EMFILE || errno == ENFILE))
    throw IoError(fmt::format("[load] opening {} failed: {}; files of lazily loaded arrays stay "
                              "open, so raise the limit (ulimit -n) or keep fewer of them",
                              path, platform::error_text(errno)),
                  errno);
  if (fd < 0) raise_io("opening", path, errno);
  if (auto stat = platform::stat_file(fd); stat && stat->directory) {
    platform::close_file(fd);
    raise_io("opening", path, EISDIR);
  }
  return std::make_shared<LinuxFile>(fd, platform::reopen_direct(fd, false), path, false, true,
                                     faults);
}

std::shared_ptr<File> adopt_output(int fd, std::string name, FaultPlan* faults) {
  return std::make_shared<LinuxFile>(fd, platform::reopen_direct(fd, true), std::move(name), false,
                                     true, faults);
}

std::unique_ptr<File> open_scratch(const std::string& directory, bool direct, FaultPlan* faults) {
  int fd = direct ? platform::open_unlinked(directory, true) : -1;
  bool got_direct = fd >= 0;
  if (fd < 0) fd = platform::open_unlinked(directory, false);
  if (fd < 0) raise_io("creating a spill file in", directory, errno);
  return std::make_unique<LinuxFile>(fd, -1, "the spill file in " + directory, got_direct, false,
                                     faults);
}

FileSource::FileSource(std::shared_ptr<File> file, uint64_t offset, Decode decode)
    : file_(std::move(file)), offset_(offset), decode_(decode), identity_(file_->identity()) {}

void FileSource::read(std::span<std::byte> to, uint64_t offset_in_buffer) {
  check_identity();
  read_exact(*file_, to, offset_ + offset_in_buffer);
  check_identity();
  decode(to, decode_);
}

FileIdentity FileSource::identity() const {
  MutexLock lock(mutex_);
  return identity_;
}

void FileSource::check_identity() {
  FileIdentity now = file_->identity();
  MutexLock lock(mutex_);
  if (now == identity_) return;
  // Another name for it, or one fewer, changes ctime too.
  FileIdentity renamed = identity_;
  renamed.links = now.links;
  renamed.ctime_ns = now.ctime_ns;
  if (now.links == identity_.links || now != renamed)
    throw IoError(
        fmt::format("[load] expected {}, the file of a lazily loaded array, to stay as it was, got "
                    "one that was "
                    "changed since; load it again, and write new files under a temporary name",
                    file_->name()));
  identity_ = now;
}

void FileSink::write(std::span<const std::byte> from, uint64_t offset_in_buffer) {
  PLIMSOLL_CHECK(!sealed(), Error, "[FileSink::write] expected a file that is not complete yet");
  PLIMSOLL_CHECK(offset_in_buffer <= size_ && from.size() <= size_ - offset_in_buffer, Error,
                 "[FileSink::write] expected a range inside {} bytes, got {} at {}", size_,
                 from.size(), offset_in_buffer);
  write_all(*file_, from, offset_ + offset_in_buffer);
  file_->drop_cache(offset_ + offset_in_buffer, from.size());
}

void FileSink::read(std::span<std::byte> to, uint64_t offset_in_buffer) {
  if (sealed()) return source_->read(to, offset_in_buffer);
  read_exact(*file_, to, offset_ + offset_in_buffer);
}

void FileSink::seal() {
  if (sealed()) return;
  source_ = std::make_unique<FileSource>(file_, offset_);
  sealed_.store(true, std::memory_order_release);
}

}  // namespace plimsoll::memory
