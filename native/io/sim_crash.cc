#include "io/sim_crash.h"

#include <algorithm>
#include <unordered_map>

#include "base/assert.h"
#include "io/sim_random.h"

namespace cairn {

SimCrashStates::SimCrashStates(const SimTrace* trace) : trace_(trace) { Reset(); }

void SimCrashStates::Reset() {
  point_ = 0;
  durable_ = trace_->base;
  pending_ = trace_->pending;
}

void SimCrashStates::MoveTo(uint32_t point) {
  CAIRN_ASSERT(point <= trace_->events.size());
  if (point == point_) return;
  if (point < point_) Reset();
  units_valid_[0] = units_valid_[1] = false;
  for (; point_ < point; ++point_) {
    const SimEvent& event = trace_->events[point_];
    if (event.completion) {
      Complete(event.operation);
    } else {
      Issue(event.operation);
    }
  }
}

void SimCrashStates::Issue(uint32_t index) {
  const SimOperation& operation = trace_->operations[index];
  const uint64_t begin = operation.offset_bytes;
  const uint64_t length = operation.length_bytes;
  using Kind = Pending::Kind;
  switch (operation.kind) {
    case SimKind::kCreate:
    case SimKind::kRename:
    case SimKind::kRemove:
      pending_.push_back({Kind::kName, index});
      break;
    case SimKind::kGrow:
      pending_.push_back({Kind::kLength, index, begin, begin + length});
      break;
    case SimKind::kTruncate:
      pending_.push_back({Kind::kCut, index, 0, length});
      break;
    case SimKind::kPunch:
      pending_.push_back({Kind::kHole, index, begin, begin + length});
      break;
    case SimKind::kWrite:
      if (operation.extends) pending_.push_back({Kind::kLength, index, 0, begin + length});
      pending_.push_back({Kind::kData, index, begin, begin + length});
      break;
    case SimKind::kEdit:
      Edit(operation);
      break;
    case SimKind::kSync:
    case SimKind::kSyncDirectory:
    case SimKind::kOpen:
    case SimKind::kRead:
      break;
  }
}

void SimCrashStates::Edit(const SimOperation& operation) {
  std::erase_if(pending_, [&](const Pending& item) {
    return OperationOf(item).inode == operation.inode && item.kind != Pending::Kind::kName;
  });
  durable_.names.erase(operation.name);
  if (operation.inode == kNoInode) return;
  durable_.names[operation.name] = operation.inode;
  durable_.Change(operation.inode) = *operation.image;
}

void SimCrashStates::Complete(uint32_t index) {
  const SimOperation& operation = trace_->operations[index];
  const bool failed = operation.result < 0;
  switch (operation.kind) {
    case SimKind::kSync:
    case SimKind::kSyncDirectory:
      Cover(operation);
      break;
    case SimKind::kEdit:
    case SimKind::kOpen:
    case SimKind::kRead:
      break;
    default:
      if (failed && !operation.indeterminate) {
        std::erase_if(pending_, [&](const Pending& item) { return item.operation == index; });
      } else {
        Settle(index, failed);
      }
  }
}

/// Moves the parts of a completed operation behind those that completed before it. A durable
/// write leaves the list altogether.
void SimCrashStates::Settle(uint32_t index, bool poisoned) {
  std::vector<Pending> done;
  std::vector<Pending> earlier;
  std::vector<Pending> in_flight;
  for (const Pending& item : pending_) {
    if (item.operation == index) {
      done.push_back(item);
      done.back().completed = true;
      done.back().poisoned = poisoned;
    } else {
      (item.completed ? earlier : in_flight).push_back(item);
    }
  }
  if (trace_->operations[index].durable && !poisoned) {
    for (const Pending& item : done) MakeDurable(item, &earlier);
    done.clear();
  }
  pending_ = std::move(earlier);
  pending_.insert(pending_.end(), done.begin(), done.end());
  pending_.insert(pending_.end(), in_flight.begin(), in_flight.end());
}

void SimCrashStates::Cover(const SimOperation& sync) {
  const bool directory = sync.kind == SimKind::kSyncDirectory;
  std::vector<Pending> kept;
  for (Pending& item : pending_) {
    const SimOperation& operation = OperationOf(item);
    const bool of_kind = (item.kind == Pending::Kind::kName) == directory;
    const bool covered = of_kind && (directory || operation.inode == sync.inode) &&
                         item.completed && operation.completed < sync.issued && !item.poisoned;
    if (covered && sync.result >= 0) {
      MakeDurable(item, &kept);
      continue;
    }
    if (covered) item.poisoned = true;
    kept.push_back(item);
  }
  pending_ = std::move(kept);
}

/// Rolls the durable image forward by one item. What persists of the items before it can no
/// longer undo it, so its range is taken out of them.
void SimCrashStates::MakeDurable(const Pending& item, std::vector<Pending>* earlier) {
  using Kind = Pending::Kind;
  const SimInode inode = OperationOf(item).inode;
  if (item.kind == Kind::kCut) CutEarlier(inode, item.end_bytes, earlier);
  if (item.kind == Kind::kData || item.kind == Kind::kHole) {
    std::vector<Pending> rest;
    for (const Pending& old : *earlier) {
      if (OperationOf(old).inode != inode || old.kind == Kind::kName) {
        rest.push_back(old);
        continue;
      }
      // The size is one field: writing it for this item writes an earlier truncation with it.
      if (old.kind == Kind::kCut && old.end_bytes < item.end_bytes && item.kind == Kind::kData) {
        CutEarlier(inode, old.end_bytes, &rest);
        durable_.Change(inode).Truncate(old.end_bytes);
        continue;
      }
      if (old.kind != Kind::kData && old.kind != Kind::kHole) {
        rest.push_back(old);
        continue;
      }
      Pending left = old;
      left.end_bytes = std::min(old.end_bytes, item.begin_bytes);
      if (left.begin_bytes < left.end_bytes) rest.push_back(left);
      Pending right = old;
      right.begin_bytes = std::max(old.begin_bytes, item.end_bytes);
      if (right.begin_bytes < right.end_bytes) rest.push_back(right);
    }
    *earlier = std::move(rest);
  }
  if (item.kind == Kind::kData) durable_.Change(inode).Extend(item.end_bytes);
  Unit unit{0, 0, 0xff};
  if (item.kind != Kind::kData) return Apply(item, unit, &durable_);
  for (uint64_t at = item.begin_bytes; at < item.end_bytes; at += kPageBytes) {
    unit.page = at / kPageBytes;
    Apply(item, unit, &durable_);
  }
}

void SimCrashStates::CutEarlier(SimInode inode, uint64_t size_bytes,
                                std::vector<Pending>* earlier) {
  const uint64_t end = AlignUp(size_bytes, kPageBytes);
  for (Pending& old : *earlier) {
    if (OperationOf(old).inode == inode && old.kind != Pending::Kind::kName) {
      old.end_bytes = std::min(old.end_bytes, end);
    }
  }
  std::erase_if(*earlier, [&](const Pending& old) {
    return OperationOf(old).inode == inode && old.kind != Pending::Kind::kName &&
           old.kind != Pending::Kind::kCut && old.begin_bytes >= old.end_bytes;
  });
}

void SimCrashStates::Apply(const Pending& item, const Unit& unit, SimState* state) const {
  const SimOperation& operation = OperationOf(item);
  switch (item.kind) {
    case Pending::Kind::kName:
      return ApplyName(item, state);
    case Pending::Kind::kLength:
      if (operation.kind == SimKind::kWrite) {
        return state->Change(operation.inode).Extend(item.end_bytes);
      }
      return state->Change(operation.inode).Reserve(item.begin_bytes, item.end_bytes);
    case Pending::Kind::kCut:
      return state->Change(operation.inode).Truncate(item.end_bytes);
    case Pending::Kind::kHole:
      return state->Change(operation.inode)
          .Punch(item.begin_bytes, item.end_bytes - item.begin_bytes);
    case Pending::Kind::kData: {
      // Bytes past the end of the file are on the medium, yet nobody can read them.
      if (unit.page >= state->File(operation.inode).page_count()) return;
      SimFileImage& image = state->Change(operation.inode);
      const SimPageRef& source = operation.pages[unit.page - operation.offset_bytes / kPageBytes];
      image.SetPage(unit.page, MixSimPage(image.PageAt(unit.page), source, unit.sector_mask));
      return;
    }
  }
}

void SimCrashStates::ApplyName(const Pending& item, SimState* state) const {
  const SimOperation& operation = OperationOf(item);
  const SimInode found = state->Find(operation.name);
  if (operation.kind == SimKind::kCreate) {
    if (!item.completed && found != kNoInode) return;
    state->Change(operation.inode);
    state->names[operation.name] = operation.inode;
    return;
  }
  if (operation.inode == kNoInode) return;
  // A name that meanwhile leads elsewhere is not this operation's to take away.
  if (found == operation.inode) state->names.erase(operation.name);
  if (operation.kind == SimKind::kRename) {
    state->Change(operation.inode);
    state->names[operation.new_name] = operation.inode;
  }
}

bool SimCrashStates::Reachable(SimInode inode) const {
  for (const auto& [name, linked] : durable_.names) {
    if (linked == inode) return true;
  }
  return std::any_of(pending_.begin(), pending_.end(), [&](const Pending& item) {
    return item.kind == Pending::Kind::kName && OperationOf(item).inode == inode &&
           OperationOf(item).kind != SimKind::kRemove;
  });
}

size_t SimCrashStates::CountUnits(uint32_t sector_bytes) {
  const size_t slot = sector_bytes == kPageBytes ? 1 : 0;
  if (!units_valid_[slot]) BuildUnits(sector_bytes, &units_[slot]);
  units_valid_[slot] = true;
  return units_[slot].size();
}

void SimCrashStates::BuildUnits(uint32_t sector_bytes, std::vector<Unit>* units) {
  units->clear();
  for (uint32_t index = 0; index < pending_.size(); ++index) {
    const Pending& item = pending_[index];
    if (item.kind == Pending::Kind::kName) {
      units->push_back({index});
      continue;
    }
    const SimInode inode = OperationOf(item).inode;
    if (!Reachable(inode)) continue;
    const auto earlier_end = pending_.begin() + index;
    const bool shrinks = std::any_of(pending_.begin(), earlier_end, [&](const Pending& old) {
      return OperationOf(old).inode == inode &&
             (old.kind == Pending::Kind::kCut || old.kind == Pending::Kind::kHole);
    });
    if (item.kind == Pending::Kind::kData) {
      AddDataUnits(index, sector_bytes, shrinks, units);
    } else if (item.kind != Pending::Kind::kLength || shrinks ||
               item.end_bytes > durable_.File(inode).size_bytes()) {
      units->push_back({index});
    }
  }
}

/// Adds the pages or sectors of a write that make a difference: those unlike the durable image,
/// and those that an earlier pending write may have changed.
void SimCrashStates::AddDataUnits(uint32_t index, uint32_t sector_bytes, bool all,
                                  std::vector<Unit>* units) {
  const Pending& item = pending_[index];
  const SimOperation& operation = OperationOf(item);
  const SimFileImage& base = durable_.File(operation.inode);
  for (uint64_t at = item.begin_bytes; at < item.end_bytes; at += kPageBytes) {
    const uint64_t page = at / kPageBytes;
    uint8_t mask = 0xff;
    if (!all) {
      const SimPageRef& source = operation.pages[(at - operation.offset_bytes) / kPageBytes];
      mask = DifferingSectors(base.PageAt(page), source);
      for (uint32_t before = 0; before < index && mask != 0xff; ++before) {
        const Pending& old = pending_[before];
        if (old.kind != Pending::Kind::kData || old.begin_bytes > at || old.end_bytes <= at ||
            OperationOf(old).inode != operation.inode) {
          continue;
        }
        const size_t old_page = (at - OperationOf(old).offset_bytes) / kPageBytes;
        mask |= DifferingSectors(base.PageAt(page), OperationOf(old).pages[old_page]);
      }
    }
    if (mask == 0) continue;
    if (sector_bytes == kPageBytes) {
      units->push_back({index, page, 0xff});
      continue;
    }
    for (uint8_t sector = 0; sector < kSimSectorsPerPage; ++sector) {
      const uint8_t bit = static_cast<uint8_t>(1 << sector);
      if ((mask & bit) != 0) units->push_back({index, page, bit});
    }
  }
}

SimState SimCrashStates::Materialize(const CrashChoice& choice) {
  using Kind = CrashChoice::Kind;
  SimState state = durable_;
  if (choice.kind == Kind::kNone) return state;
  CountUnits(choice.sector_bytes);
  const std::vector<Unit>& units = units_[choice.sector_bytes == kPageBytes ? 1 : 0];
  SimRandom random(choice.seed);
  // Even odds alone would hardly ever give the states in which almost nothing, or almost
  // everything, is lost.
  static constexpr uint32_t kKeepOf16[] = {8, 2, 14, 1, 15, 5, 11, 8};
  const uint32_t keep = kKeepOf16[random.Below(8)];
  std::vector<Unit> chosen;
  chosen.reserve(units.size());
  for (size_t i = 0; i < units.size(); ++i) {
    bool kept = true;
    switch (choice.kind) {
      case Kind::kAll:
      case Kind::kNone:
        break;
      case Kind::kMask:
        kept = i < 64 && (choice.mask >> i & 1) != 0;
        break;
      case Kind::kPrefix:
        kept = i < choice.n;
        break;
      case Kind::kDropOne:
        kept = i != choice.n;
        break;
      case Kind::kKeepOne:
        kept = i == choice.n;
        break;
      case Kind::kRandom:
        kept = random.Below(16) < keep;
        break;
      case Kind::kKill:
        kept = random.Below(16) < keep || pending_[units[i].item].completed;
        break;
    }
    if (!kept) continue;
    // Kept sectors of one page are applied together: one copy of the page instead of eight.
    if (!chosen.empty() && chosen.back().item == units[i].item &&
        chosen.back().page == units[i].page) {
      chosen.back().sector_mask |= units[i].sector_mask;
    } else {
      chosen.push_back(units[i]);
    }
  }
  for (const Unit& unit : chosen) Apply(pending_[unit.item], unit, &state);
  return state;
}

SimTrace SimCrashStates::AfterKill() const {
  SimTrace next{durable_, {}, {}, pending_};
  std::unordered_map<uint32_t, uint32_t> places;
  for (Pending& item : next.pending) {
    const auto [place, added] =
        places.try_emplace(item.operation, static_cast<uint32_t>(next.operations.size()));
    if (added) {
      next.operations.push_back(OperationOf(item));
      next.operations.back().issued = next.operations.back().completed = 0;
    }
    item.operation = place->second;
    item.completed = true;
  }
  return next;
}

}  // namespace cairn
