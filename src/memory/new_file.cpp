#include "memory/new_file.h"

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/check.h"
#include "base/platform_linux.h"

namespace plimsoll::memory {
namespace {

constexpr int kTries = 100;

[[noreturn]] void raise_save(std::string_view what, const std::string& path, int error) {
  throw IoError(fmt::format("[save] {} {} failed: {}", what, path, platform::error_text(error)),
                error);
}

std::string folder_of(const std::string& path) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace

NewFile::NewFile(const std::string& path, FaultPlan* faults, const Wrap& wrap, bool nameless)
    : path_(path) {
  std::error_code error;
  if (std::filesystem::is_symlink(path_, error)) {
    auto target = std::filesystem::weakly_canonical(path_, error);
    if (!error) path_ = target.string();
  }
  if (std::filesystem::is_directory(path_, error)) raise_save("writing", path_, EISDIR);
  if (nameless)
    fd_ = platform::open_nameless(folder_of(path_));
  else
    errno = EOPNOTSUPP;
  // EISDIR: a kernel without O_TMPFILE; EOPNOTSUPP: a file system without it.
  if (fd_ < 0 && (errno == EISDIR || errno == EOPNOTSUPP)) {
    for (int k = 0; fd_ < 0 && k < kTries && (k == 0 || errno == EEXIST); ++k) {
      temporary_ = hidden_name(k);
      fd_ = platform::create_file(temporary_);
    }
    if (fd_ < 0) temporary_.clear();
  }
  if (fd_ < 0) raise_save("creating", path_, errno);
  if (auto mode = platform::file_mode(path_)) platform::set_file_mode(fd_, *mode);
  file_ = adopt_output(fd_, path_, faults);
  if (wrap) file_ = wrap(std::move(file_));
}

NewFile::~NewFile() {
  if (!temporary_.empty()) platform::remove_file(temporary_);
}

void NewFile::commit() {
  file_->sync();
  if (temporary_.empty()) {
    int error = EEXIST;
    std::string name;
    for (int k = 0; error == EEXIST && k < kTries; ++k) {
      name = hidden_name(k);
      error = platform::name_file(fd_, name);
    }
    if (error != 0) raise_save("naming", path_, error);
    temporary_ = std::move(name);
  }
  if (int error = platform::rename_file(temporary_, path_)) raise_save("renaming", path_, error);
  temporary_.clear();
}

// What a process that died has left is passed by counting on.
std::string NewFile::hidden_name(int attempt) const {
  std::filesystem::path path(path_);
  auto number = reinterpret_cast<uintptr_t>(this) + static_cast<uintptr_t>(attempt);
  std::string name = fmt::format(".{}.{}-{:x}.tmp", path.filename().string().substr(0, 200),
                                 platform::process_id(), number);
  return (path.parent_path() / name).string();
}

}  // namespace plimsoll::memory
