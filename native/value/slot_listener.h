#pragma once

#include "alloc/allocator.h"
#include "cache/slot_record.h"

namespace cairn {

/// Told what happens to the slots of a values file, so that copies of their records can be kept.
class SlotListener {
 public:
  virtual ~SlotListener() = default;
  /// The record came from the device and checked. Its slot is not used again before this returns.
  virtual void OnRead(Handle handle, const RecordView& record) = 0;
  /// Nothing new will ask for the record in that slot; told again when the slot is about to be free.
  virtual void OnUnwanted(Handle handle) = 0;
};

}  // namespace cairn
