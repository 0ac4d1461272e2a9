// A file that takes its name when it is complete.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/fault_plan.h"
#include "memory/file.h"

namespace plimsoll::memory {

/// Written in the folder of `path` without a name (under a temporary one where the file system has
/// no O_TMPFILE), then flushed and renamed over `path`: whoever reads `path` sees the old file or
/// the new one, arrays that were loaded from the old one stay readable, and a failed or killed
/// writer leaves nothing behind. The file that `path` names through a symbolic link is what is
/// replaced, and its permissions are kept.
class NewFile {
 public:
  using Wrap = std::function<std::shared_ptr<File>(std::shared_ptr<File>)>;
  /// Raises IoError. `wrap`: tests put a faulty file in between.
  /// `nameless`: false does as if there were no O_TMPFILE.
  explicit NewFile(const std::string& path, FaultPlan* faults = nullptr, const Wrap& wrap = {},
                   bool nameless = true);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  const std::shared_ptr<File>& file() const { return file_; }
  /// Raises IoError; then the old file is as it was. Call it once.
  void commit();

 private:
  std::string hidden_name(int attempt) const;

  std::string path_;
  std::string temporary_;  // its name now; empty: none
  int fd_ = -1;            // of file_
  std::shared_ptr<File> file_;
};

}  // namespace plimsoll::memory
