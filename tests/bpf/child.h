// A process of its own for what can be done once per process, and two pipes to talk to it.
#pragma once

#include <functional>
#include <string>

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bridgehead::test {

inline constexpr int kChildSeconds = 20;  // then it is ended by SIGALRM

// What a child says to its parent, line by line, and the parent's wish that it end.
class Child {
 public:
  explicit Child(const std::function<void(Child&)>& body) {
    int up[2], down[2];
    EXPECT_EQ(pipe(up), 0);
    EXPECT_EQ(pipe(down), 0);
    pid_ = fork();
    if (pid_ == 0) {
      close(up[0]);
      close(down[1]);
      read_fd_ = down[0];
      write_fd_ = up[1];
      alarm(kChildSeconds);
      body(*this);
      _exit(0);
    }
    close(up[1]);
    close(down[0]);
    read_fd_ = up[0];
    write_fd_ = down[1];
  }
  ~Child() {
    if (pid_ > 0) {
      End();
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void Say(std::string line) {
    line += '\n';
    EXPECT_EQ(write(write_fd_, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  }
  // The next line, or "" when the other side is gone.
  std::string Hear() {
    std::string line;
    for (char c; read(read_fd_, &c, 1) == 1 && c != '\n';) {
      line += c;
    }
    return line;
  }
  bool Heard() const {
    pollfd wait{read_fd_, POLLIN, 0};
    return poll(&wait, 1, 0) != 0;
  }
  void Kill() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  // Lets the child go and returns its exit status.
  int End() {
    close(write_fd_);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
  int read_fd_ = -1;
  int write_fd_ = -1;
};

}  // namespace bridgehead::test
