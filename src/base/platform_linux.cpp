#include "base/platform_linux.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace plimsoll::platform {
namespace {

constexpr Bytes kDefaultHugePage = 2 * kMiB;

Bytes detect_huge_page_size() {
  auto enabled = read_text_file("/sys/kernel/mm/transparent_hugepage/enabled");
  if (!enabled || enabled->find("[never]") != std::string::npos) return 0;
  auto size = read_text_file("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
  Bytes bytes = size ? std::strtoull(size->c_str(), nullptr, 10) : 0;
  return bytes != 0 ? bytes : kDefaultHugePage;
}

std::optional<Bytes> soft_limit(int resource) noexcept {
  rlimit r{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &r) != 0) return std::nullopt;
  if (r.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return static_cast<Bytes>(r.rlim_cur);
}

int64_t nanoseconds(const timespec& t) { return t.tv_sec * 1'000'000'000LL + t.tv_nsec; }

// mkstemp cannot be given O_DIRECT, so it is added afterwards.
int open_and_unlink(const std::string& directory, bool direct) noexcept {
  std::string path = directory + "/plimsoll-spill-XXXXXX";
  int fd = ::mkostemp(path.data(), O_CLOEXEC);
  if (fd < 0) return -1;
  ::unlink(path.c_str());
  if (direct && ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_DIRECT) != 0) {
    int error = errno;
    ::close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

}  // namespace

Bytes page_size() {
  static const Bytes size = static_cast<Bytes>(::sysconf(_SC_PAGESIZE));
  return size;
}

Bytes huge_page_size() {
  static const Bytes size = detect_huge_page_size();
  return size;
}

std::byte* map_anonymous(Bytes size, Bytes alignment) noexcept {
  constexpr int kProtection = PROT_READ | PROT_WRITE;
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  // More than needed, and the ends given back: the kernel promises page alignment only.
  Bytes slack = alignment > page_size() ? alignment - page_size() : 0;
  if (size > ~Bytes{0} - slack) return nullptr;
  void* raw = ::mmap(nullptr, size + slack, kProtection, kFlags, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  auto start = reinterpret_cast<uintptr_t>(raw);
  uintptr_t aligned = round_up(start, alignment);
  if (aligned > start) ::munmap(raw, aligned - start);
  uintptr_t end = start + size + slack;
  if (end > aligned + size)
    ::munmap(reinterpret_cast<void*>(aligned + size), end - (aligned + size));
  return reinterpret_cast<std::byte*>(aligned);
}

void unmap(std::byte* address, Bytes size) noexcept { ::munmap(address, size); }

bool advise_huge_pages(std::byte* address, Bytes size, bool huge) noexcept {
  return ::madvise(address, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) == 0;
}

void discard_pages(std::byte* address, Bytes size) noexcept {
  ::madvise(address, size, MADV_DONTNEED);
}

int open_read_only(const std::string& path) noexcept {
  return ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
}

int open_unlinked(const std::string& directory, bool direct) noexcept {
  int flags = O_TMPFILE | O_RDWR | O_CLOEXEC | (direct ? O_DIRECT : 0);
  int fd = ::open(directory.c_str(), flags, 0600);
  // EISDIR: a kernel without O_TMPFILE; EOPNOTSUPP: a file system without it. EINVAL can also mean
  // no O_DIRECT, which the second way reports again.
  if (fd < 0 && (errno == EISDIR || errno == EOPNOTSUPP || errno == EINVAL))
    return open_and_unlink(directory, direct);
  return fd;
}

void close_file(int fd) noexcept { ::close(fd); }

int64_t read_at(int fd, void* to, size_t size, uint64_t offset) noexcept {
  ssize_t n;
  do {
    n = ::pread(fd, to, size, static_cast<off_t>(offset));
  } while (n < 0 && errno == EINTR);
  return n;
}

int64_t write_at(int fd, const void* from, size_t size, uint64_t offset) noexcept {
  ssize_t n;
  do {
    n = ::pwrite(fd, from, size, static_cast<off_t>(offset));
  } while (n < 0 && errno == EINTR);
  return n;
}

int allocate_file(int fd, uint64_t offset, uint64_t size) noexcept {
  int result;
  do {
    result = ::fallocate(fd, 0, static_cast<off_t>(offset), static_cast<off_t>(size));
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

void punch_file(int fd, uint64_t offset, uint64_t size) noexcept {
  ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
              static_cast<off_t>(size));
}

int truncate_file(int fd, uint64_t size) noexcept {
  return ::ftruncate(fd, static_cast<off_t>(size)) == 0 ? 0 : errno;
}

int sync_file(int fd) noexcept { return ::fdatasync(fd) == 0 ? 0 : errno; }

void drop_file_cache(int fd, uint64_t offset, uint64_t size) noexcept {
  ::sync_file_range(
      fd, static_cast<off64_t>(offset), static_cast<off64_t>(size),
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  ::posix_fadvise(fd, static_cast<off_t>(offset), static_cast<off_t>(size), POSIX_FADV_DONTNEED);
}

std::optional<FileStat> stat_file(int fd) noexcept {
  struct stat s {};
  if (::fstat(fd, &s) != 0) return std::nullopt;
  return FileStat{s.st_dev, s.st_ino, static_cast<uint64_t>(s.st_size), nanoseconds(s.st_mtim),
                  nanoseconds(s.st_ctim)};
}

bool is_memory_backed(const std::string& directory) noexcept {
  struct statfs s {};
  if (::statfs(directory.c_str(), &s) != 0) return false;
  return s.f_type == TMPFS_MAGIC || s.f_type == RAMFS_MAGIC;
}

std::optional<Bytes> free_disk_space(const std::string& directory) noexcept {
  struct statvfs s {};
  if (::statvfs(directory.c_str(), &s) != 0) return std::nullopt;
  return static_cast<Bytes>(s.f_bavail) * s.f_frsize;
}

bool make_directories(const std::string& path) noexcept {
  for (size_t i = 1; i <= path.size(); ++i) {
    if (i != path.size() && path[i] != '/') continue;
    if (::mkdir(path.substr(0, i).c_str(), 0700) != 0 && errno != EEXIST) return false;
  }
  struct stat s {};
  return ::stat(path.c_str(), &s) == 0 && S_ISDIR(s.st_mode);
}

int process_id() noexcept { return ::getpid(); }

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::string error_text(int error_number) { return std::generic_category().message(error_number); }

std::optional<Bytes> address_space_limit() noexcept { return soft_limit(RLIMIT_AS); }
std::optional<Bytes> data_limit() noexcept { return soft_limit(RLIMIT_DATA); }

std::optional<std::string> read_text_file(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  std::string text;
  char chunk[4096];
  uint64_t offset = 0;
  while (true) {
    int64_t n = read_at(fd, chunk, sizeof(chunk), offset);
    if (n < 0) {
      ::close(fd);
      return std::nullopt;
    }
    if (n == 0) break;
    text.append(chunk, static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  ::close(fd);
  return text;
}

}  // namespace plimsoll::platform
