#pragma once

// A test harness of one header: TEST(name) { ... } registers a function, EXPECT and EXPECT_EQ
// record failures and go on, main runs them all. One executable per *_test.cc.
// Arguments: a part of a test's name runs only the tests that contain it.

#include <cstdio>
#include <cstring>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::test {

struct TestCase {
  const char* name;
  void (*run)();
};

struct Registry {
  std::vector<TestCase> cases;
  int failures_in_case = 0;

  static Registry& Instance() {
    static Registry registry;
    return registry;
  }
};

struct Registrar {
  Registrar(const char* name, void (*run)()) { Registry::Instance().cases.push_back({name, run}); }
};

template <typename T>
concept Streamable = requires(std::ostream& out, const T& value) {
  out << value;
};

template <typename T>
std::string Show(const T& value) {
  std::ostringstream out;
  if constexpr (std::is_enum_v<T>) {
    out << static_cast<long long>(value);
  } else if constexpr (sizeof(T) == 1 && std::is_integral_v<T>) {
    out << static_cast<int>(value);
  } else if constexpr (Streamable<T>) {
    out << value;
  } else {
    out << "(value of " << sizeof(T) << " bytes)";
  }
  return out.str();
}

inline bool Fail(const char* file, int line, const std::string& what) {
  ++Registry::Instance().failures_in_case;
  std::fprintf(stderr, "  %s:%d: %s\n", file, line, what.c_str());
  return false;
}

template <typename A, typename B>
bool ExpectEqual(const A& a, const B& b, const char* a_text, const char* b_text, const char* file,
                 int line) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"
  if (a == b) return true;
#pragma GCC diagnostic pop
  return Fail(file, line,
              std::string(a_text) + " == " + b_text + ", got " + Show(a) + " and " + Show(b));
}

inline int RunAll(int argc, char** argv) {
  Registry& registry = Registry::Instance();
  int passed = 0;
  int failed = 0;
  for (const TestCase& test_case : registry.cases) {
    if (argc > 1 && std::strstr(test_case.name, argv[1]) == nullptr) continue;
    registry.failures_in_case = 0;
    test_case.run();
    if (registry.failures_in_case == 0) {
      ++passed;
    } else {
      ++failed;
      std::fprintf(stderr, "FAILED %s\n", test_case.name);
    }
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace cairn::test

#define TEST(name)                                                         \
  static void name();                                                      \
  static const ::cairn::test::Registrar registrar_of_##name(#name, &name); \
  static void name()

/// Evaluates to whether it held, so that a test can stop: if (!EXPECT(x)) return;
#define EXPECT(condition) \
  ((condition) ? true : ::cairn::test::Fail(__FILE__, __LINE__, "expected " #condition))

#define EXPECT_EQ(a, b) ::cairn::test::ExpectEqual((a), (b), #a, #b, __FILE__, __LINE__)

int main(int argc, char** argv) { return ::cairn::test::RunAll(argc, argv); }
