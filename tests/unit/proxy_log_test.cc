// The access log's file: whole lines from several threads, moved away and bounded.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctrl/proxy/log/log_file.h"

namespace bridgehead::proxy {
namespace {

using ::testing::HasSubstr;

class ProxyLogFile : public testing::Test {
 protected:
  ProxyLogFile() {
    directory_ = testing::TempDir() + "/proxy_log_" + std::to_string(getpid());
    std::filesystem::create_directories(directory_);
    path_ = directory_ + "/access.log";
  }
  ~ProxyLogFile() override { std::filesystem::remove_all(directory_); }

  static std::string Content(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  std::string directory_, path_;
};

TEST_F(ProxyLogFile, LinesOfSeveralThreadsStayWhole) {
  auto file = *LogFile::Open(path_);
  std::vector<std::thread> threads;
  for (char c : std::string("abcd")) {
    threads.emplace_back([&file, c] {
      for (int i = 0; i < 1000; ++i) file->Append(std::string(50, c) + "\n");
    });
  }
  for (std::thread& thread : threads) thread.join();
  file->Flush();
  std::istringstream lines(Content(path_));
  std::string line;
  size_t count = 0;
  while (std::getline(lines, line)) {
    ++count;
    EXPECT_EQ(line, std::string(50, line.at(0)));
  }
  EXPECT_EQ(count, 4000u);
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07, 0u);  // nobody else's business
}

TEST_F(ProxyLogFile, AMovedFileIsFollowedByANewOne) {
  auto file = *LogFile::Open(path_);
  file->Append("before\n");
  file->Flush();
  std::filesystem::rename(path_, path_ + ".1");
  file->Append("still there\n");
  file->Reopen();
  file->Flush();
  file->Append("after\n");
  file->Flush();
  EXPECT_EQ(Content(path_ + ".1"), "before\nstill there\n");
  EXPECT_EQ(Content(path_), "after\n");
}

TEST_F(ProxyLogFile, WhatTheDiskDoesNotTakeIsCounted) {
  auto full = *LogFile::Open("/dev/full");
  full->Append("one\ntwo\n");
  full->Flush();
  EXPECT_EQ(full->dropped(), 2u);
}

TEST_F(ProxyLogFile, PendingLinesAreBoundedAndTheLossIsSaid) {
  // A pipe that nobody reads: the writer hangs in it.
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  const int reader = open(path_.c_str(), O_RDWR | O_NONBLOCK);
  {
    auto file = *LogFile::Open(path_);
    const std::string line(1 << 20, 'x');
    for (int i = 0; i < 20; ++i) file->Append(line + "\n");
    // What is pending, and as much again that the writer has taken to write.
    EXPECT_GE(file->dropped(), 20 - 2 * LogFile::kMaxPending / line.size());
    std::string all;
    std::thread drain([&] {
      std::vector<char> part(1 << 16);
      while (all.find("the end") == std::string::npos) {
        const ssize_t n = read(reader, part.data(), part.size());
        if (n > 0) all.append(part.data(), static_cast<size_t>(n));
      }
    });
    file->Flush();
    file->Append("the end\n");
    drain.join();
    EXPECT_THAT(all.substr(all.size() - 60), HasSubstr("event=log_overflow lines="));
  }
  close(reader);
}

TEST_F(ProxyLogFile, AFolderThatIsNotThere) {
  EXPECT_THAT(std::string(LogFile::Open("/nonexistent/x.log").status().message()),
              HasSubstr("/nonexistent/x.log: cannot be opened for appending: No such file"));
}

}  // namespace
}  // namespace bridgehead::proxy
