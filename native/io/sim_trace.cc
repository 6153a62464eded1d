#include "io/sim_trace.h"

namespace cairn {

const char* SimKindName(SimKind kind) {
  switch (kind) {
    case SimKind::kOpen:
      return "open";
    case SimKind::kRead:
      return "read";
    case SimKind::kCreate:
      return "create";
    case SimKind::kWrite:
      return "write";
    case SimKind::kGrow:
      return "grow";
    case SimKind::kTruncate:
      return "truncate";
    case SimKind::kPunch:
      return "punch";
    case SimKind::kRename:
      return "rename";
    case SimKind::kRemove:
      return "remove";
    case SimKind::kSync:
      return "sync";
    case SimKind::kSyncDirectory:
      return "syncDirectory";
    case SimKind::kEdit:
      return "edit";
  }
  return "unknown";
}

std::string SimTrace::Describe() const {
  std::string text;
  for (const SimOperation& operation : operations) {
    text += std::to_string(operation.issued) + "-";
    text += operation.completed == 0 ? "" : std::to_string(operation.completed);
    text += std::string(" ") + SimKindName(operation.kind);
    if (!operation.name.empty()) text += " " + operation.name;
    if (!operation.new_name.empty()) text += " -> " + operation.new_name;
    if (operation.kind == SimKind::kWrite || operation.kind == SimKind::kPunch ||
        operation.kind == SimKind::kGrow) {
      text += " " + std::to_string(operation.offset_bytes) + "+";
      text += std::to_string(operation.length_bytes);
    }
    if (operation.kind == SimKind::kTruncate) {
      text += " " + std::to_string(operation.length_bytes);
    }
    if (operation.durable) text += " sync";
    if (operation.result < 0) text += " failed " + std::to_string(operation.result);
    text += "\n";
  }
  return text;
}

}  // namespace cairn
