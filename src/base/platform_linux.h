// Every call into the operating system that memory/ needs, in one place. Nothing here raises unless
// it says so: refusals are return values, with errno left as the system set it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"

namespace plimsoll::platform {

Bytes page_size();
/// Size of a transparent huge page; 0 where they are switched off.
Bytes huge_page_size();

/// A private anonymous range, readable and writable, without pages; null where refused.
std::byte* map_anonymous(Bytes size, Bytes alignment) noexcept;
void unmap(std::byte* address, Bytes size) noexcept;
/// Allows or forbids transparent huge pages in a range.
bool advise_huge_pages(std::byte* address, Bytes size, bool huge) noexcept;
void discard_pages(std::byte* address, Bytes size) noexcept;
/// Moves pages between two ranges of map_anonymous; the first stays mapped, without pages. Splits
/// mappings. False where the kernel has no MREMAP_DONTUNMAP (before 5.7) or refuses.
bool move_pages(std::byte* from, std::byte* to, Bytes size) noexcept;
/// Mappings of this process now, and the most it may have.
size_t count_mappings();
size_t max_mappings();

struct FileStat {
  uint64_t device, inode, size, links;
  int64_t mtime_ns, ctime_ns;
  bool directory;
};

/// File descriptors, -1 on failure. `direct` adds O_DIRECT.
int open_read_only(const std::string& path) noexcept;
int open_unlinked(const std::string& directory, bool direct) noexcept;
/// A file for reading and writing that name_file can name later; -1 where the file system has no
/// O_TMPFILE.
int open_nameless(const std::string& directory) noexcept;
/// Fails where the path exists.
int create_file(const std::string& path) noexcept;
/// Another descriptor of the same file, with O_DIRECT; -1 where that is not to be had.
int reopen_direct(int fd, bool writable) noexcept;
void close_file(int fd) noexcept;
/// 0, or the error number.
int name_file(int fd, const std::string& path) noexcept;
int rename_file(const std::string& from, const std::string& to) noexcept;
int remove_file(const std::string& path) noexcept;
/// Permission bits of what a path names; nullopt where there is nothing.
std::optional<uint32_t> file_mode(const std::string& path) noexcept;
void set_file_mode(int fd, uint32_t mode) noexcept;
/// As the system calls, restarted after signals: bytes moved, or -1.
int64_t read_at(int fd, void* to, size_t size, uint64_t offset) noexcept;
int64_t write_at(int fd, const void* from, size_t size, uint64_t offset) noexcept;
/// 0, or the error number; EOPNOTSUPP where the file system has no fallocate.
int allocate_file(int fd, uint64_t offset, uint64_t size) noexcept;
void punch_file(int fd, uint64_t offset, uint64_t size) noexcept;
int truncate_file(int fd, uint64_t size) noexcept;
int sync_file(int fd) noexcept;
/// True where the whole range is in the page cache; false also where the system does not tell (it
/// does from Linux 6.5 on).
bool is_cached(int fd, uint64_t offset, uint64_t size) noexcept;
/// Flushes what is dirty and drops it from the page cache; size 0: to the end.
void drop_file_cache(int fd, uint64_t offset, uint64_t size) noexcept;
std::optional<FileStat> stat_file(int fd) noexcept;

/// True for tmpfs and ramfs, whose files are RAM.
bool is_memory_backed(const std::string& directory) noexcept;
/// Bytes that an unprivileged writer can still put there.
std::optional<Bytes> free_disk_space(const std::string& directory) noexcept;
/// Creates a directory and its parents, mode 0700. False on failure.
bool make_directories(const std::string& path) noexcept;

/// Asks for AMX tile registers, for all threads of the process; false where there are none.
bool allow_amx_tiles() noexcept;

int process_id() noexcept;
/// How many forks lie between the program's first process and this one, as far as they were made
/// after the first call: what other threads held then is lost to this one.
int fork_count() noexcept;
std::string environment(const char* name);  // empty where unset
/// "No space left on device" for ENOSPC.
std::string error_text(int error_number);

/// Soft limits; nullopt where unlimited.
std::optional<Bytes> address_space_limit() noexcept;
std::optional<Bytes> data_limit() noexcept;
/// Whole contents of a small file (procfs, cgroupfs); nullopt where it cannot be read.
std::optional<std::string> read_text_file(const std::string& path);

}  // namespace plimsoll::platform
