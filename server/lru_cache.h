// A bounded cache: what was used longest ago goes first when the costs pass the limit. Thread-safe; values are shared
// and immutable.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>

namespace quarry::server {

template <class Key, class Value>
class LruCache {
 public:
  explicit LruCache(size_t limit) : limit_(limit) {}

  std::shared_ptr<const Value> find(const Key& key) {
    std::lock_guard lock(mutex_);
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return found->second->value;
  }
  void put(const Key& key, std::shared_ptr<const Value> value, size_t cost) {
    std::lock_guard lock(mutex_);
    if (const auto found = index_.find(key); found != index_.end()) drop(found->second);
    entries_.push_front({key, std::move(value), cost});
    index_[key] = entries_.begin();
    total_ += cost;
    while (total_ > limit_ && entries_.size() > 1) drop(std::prev(entries_.end()));
  }
  void erase(const Key& key) {
    std::lock_guard lock(mutex_);
    if (const auto found = index_.find(key); found != index_.end()) drop(found->second);
  }

 private:
  struct Entry {
    Key key;
    std::shared_ptr<const Value> value;
    size_t cost;
  };
  void drop(typename std::list<Entry>::iterator entry) {
    total_ -= entry->cost;
    index_.erase(entry->key);
    entries_.erase(entry);
  }

  size_t limit_, total_ = 0;
  std::mutex mutex_;
  std::list<Entry> entries_;
  std::map<Key, typename std::list<Entry>::iterator> index_;
};

}  // namespace quarry::server
