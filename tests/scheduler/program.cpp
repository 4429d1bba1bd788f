#include "tests/scheduler/program.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

namespace quarry::scheduler::test {
using namespace std::chrono_literals;

Program::Program(const std::string& database, const wire::TlsFiles& tls, const std::string& listen) {
  int out[2];
  if (pipe(out) != 0) throw std::runtime_error("pipe failed");
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(out[1], STDOUT_FILENO);
    close(out[0]);
    close(out[1]);
    execl(QUARRY_SCHEDULER_PROGRAM, "quarry-scheduler", "--database", database.c_str(), "--listen", listen.c_str(),
          "--tls-certificate", tls.certificate.c_str(), "--tls-key", tls.key.c_str(), "--authority-certificate",
          tls.authority.c_str(), nullptr);
    _exit(127);
  }
  close(out[1]);
  char c = 0;
  while (read(out[0], &c, 1) == 1 && c != '\n') ready_line_ += c;
  close(out[0]);
}

Program::~Program() {
  if (pid_ < 0) return;
  kill(SIGKILL);
  wait();
}

void Program::kill(int signal) {
  ::kill(pid_, signal);
}

int Program::wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

ServerEnd::~ServerEnd() {
  disconnect();
}

void ServerEnd::disconnect() {
  if (!link_) return;
  link_->close();
  link_.reset();
  io_.restart();
  io_.run_for(3s);
}

bool ServerEnd::connect(const std::string& address) {
  const auto colon = address.rfind(':');
  if (colon == std::string::npos) return false;
  bool tried = false;
  leader_epoch = 0;
  wire::connect(io_, address.substr(0, colon), static_cast<uint16_t>(std::stoi(address.substr(colon + 1))), tls_,
                "scheduler", 30'000, [&](auto link) {
                  tried = true;
                  if (link.ok()) link_ = link.value();
                });
  run_until([&] { return tried; });
  if (!link_) return false;
  left_ = false;
  link_->start({[this](const wire::Message& message) {
                  if (const auto* hello = std::get_if<wire::SchedulerHello>(&message)) {
                    link_->agree(hello->version);
                    leader_epoch = hello->leader_epoch;
                  }
                  if (const auto* granted = std::get_if<wire::Leases>(&message)) add(granted->leases);
                  if (const auto* why = std::get_if<wire::Waiting>(&message)) waiting.push_back(*why);
                  if (const auto* stop = std::get_if<wire::Cancels>(&message))
                    cancels.insert(cancels.end(), stop->fences.begin(), stop->fences.end());
                  if (const auto* gone = std::get_if<wire::SessionsExpired>(&message))
                    expired.insert(expired.end(), gone->sessions.begin(), gone->sessions.end());
                },
                [this](const std::string&) { left_ = true; }});
  link_->send(wire::ServerHello{"test"});
  run_until([&] { return leader_epoch != 0 || left_; }, 10s);
  if (leader_epoch == 0) disconnect();
  return leader_epoch != 0;
}

void ServerEnd::add(const std::vector<wire::Lease>& granted) {
  for (const auto& lease : granted)
    if (std::none_of(leases.begin(), leases.end(), [&](const auto& known) { return known.fence == lease.fence; }))
      leases.push_back(lease);
}

bool ServerEnd::run_until(const std::function<bool()>& done, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  auto next_beat = std::chrono::steady_clock::now();
  while (!done()) {
    const auto now = std::chrono::steady_clock::now();
    if (now > end) return false;
    if (now >= next_beat && link_ && !beating.empty()) {
      link_->send(wire::SessionsSeen{beating});
      next_beat = now + 1s;
    }
    io_.restart();
    io_.run_for(20ms);
  }
  return true;
}

}  // namespace quarry::scheduler::test
