#include "base/platform_linux.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <atomic>
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

std::string path_of(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

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

bool move_pages(std::byte* from, std::byte* to, Bytes size) noexcept {
#ifdef MREMAP_DONTUNMAP
  constexpr int kFlags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
  return ::mremap(from, size, size, kFlags, to) == to;
#else
  (void)from, (void)to, (void)size;
  return false;
#endif
}

size_t count_mappings() {
  std::string text = read_text_file("/proc/self/maps").value_or("");
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

size_t max_mappings() {
  auto text = read_text_file("/proc/sys/vm/max_map_count");
  return text ? std::strtoull(text->c_str(), nullptr, 10) : 65530;
}

int open_read_only(const std::string& path) noexcept {
  // O_NONBLOCK: opening a pipe must not wait for its writer.
  return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

int open_nameless(const std::string& directory) noexcept {
  return ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
}

int create_file(const std::string& path) noexcept {
  return ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
}

int reopen_direct(int fd, bool writable) noexcept {
  return ::open(path_of(fd).c_str(), (writable ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
}

int name_file(int fd, const std::string& path) noexcept {
  int result = ::linkat(AT_FDCWD, path_of(fd).c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW);
  return result == 0 ? 0 : errno;
}

int rename_file(const std::string& from, const std::string& to) noexcept {
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

int remove_file(const std::string& path) noexcept {
  return ::unlink(path.c_str()) == 0 ? 0 : errno;
}

std::optional<uint32_t> file_mode(const std::string& path) noexcept {
  struct stat s {};
  if (::stat(path.c_str(), &s) != 0) return std::nullopt;
  return s.st_mode & 07777;
}

void set_file_mode(int fd, uint32_t mode) noexcept { ::fchmod(fd, mode); }

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

// Not by preadv2 with RWF_NOWAIT, which starts to read ahead what it does not find.
bool is_cached(int fd, uint64_t offset, uint64_t size) noexcept {
  constexpr long kCachestat = 451;  // the same on all machines; headers of before 6.5 lack it
  struct {
    uint64_t offset, length;
  } range{offset, size};
  struct {
    uint64_t cached, dirty, writeback, evicted, recently_evicted;
  } found{};
  if (size == 0 || ::syscall(kCachestat, fd, &range, &found, 0u) != 0) return false;
  Bytes page = page_size();
  return found.cached >= (offset + size - 1) / page - offset / page + 1;
}

void drop_file_cache(int fd, uint64_t offset, uint64_t size) noexcept {
  // Outward to pages: a folio that begins on a page of the range's edge would be left whole.
  if (size != 0) {
    uint64_t end = round_up(offset + size, page_size());
    offset = round_down(offset, page_size());
    size = end - offset;
  }
  ::sync_file_range(
      fd, static_cast<off64_t>(offset), static_cast<off64_t>(size),
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  ::posix_fadvise(fd, static_cast<off_t>(offset), static_cast<off_t>(size), POSIX_FADV_DONTNEED);
}

std::optional<FileStat> stat_file(int fd) noexcept {
  struct stat s {};
  if (::fstat(fd, &s) != 0) return std::nullopt;
  return FileStat{s.st_dev,
                  s.st_ino,
                  static_cast<uint64_t>(s.st_size),
                  s.st_nlink,
                  nanoseconds(s.st_mtim),
                  nanoseconds(s.st_ctim),
                  S_ISDIR(s.st_mode)};
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

bool allow_amx_tiles() noexcept {
#if defined(__x86_64__)
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

int process_id() noexcept { return ::getpid(); }

int fork_count() noexcept {
  static std::atomic<int> count{0};
  static const int kWatching = ::pthread_atfork(nullptr, nullptr, [] { count.fetch_add(1); });
  (void)kWatching;
  return count.load(std::memory_order_relaxed);
}

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
