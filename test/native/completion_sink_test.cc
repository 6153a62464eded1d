#include "io/completion_sink.h"

#include "harness.h"

namespace cairn {
namespace {

TEST(TheSinkHandsPairsOverInOrderAndInSlices) {
  CompletionSink sink;
  int notified = 0;
  sink.SetListener([&] { ++notified; });
  EXPECT(!sink.active());
  for (int i = 0; i < 5; ++i) sink.Post(i, -i);
  EXPECT_EQ(notified, 5);
  double pairs[6];
  EXPECT_EQ(sink.Take(pairs), 3U);
  EXPECT(pairs[4] == 2 && pairs[5] == -2);
  EXPECT_EQ(sink.Take(pairs), 2U);
  EXPECT(pairs[0] == 3);
  EXPECT(!sink.active());
  sink.Hold();
  EXPECT(sink.active());
  sink.Release();
  EXPECT(!sink.active());
}

}  // namespace
}  // namespace cairn
