// Replays recorded operations over new inputs.
#include <list>
#include <memory>

#include "plimsoll/transforms.h"
#include "transforms/recording.h"

namespace plimsoll {

Function compile(Function fn) {
  using transforms::Recording;
  auto recordings = std::make_shared<std::list<std::unique_ptr<Recording>>>();
  return [fn = std::move(fn), recordings](const Arrays& inputs) {
    for (auto it = recordings->begin(); it != recordings->end(); ++it)
      if ((*it)->fits(inputs)) {
        recordings->splice(recordings->begin(), *recordings, it);
        return recordings->front()->replay(inputs);
      }
    recordings->push_front(std::make_unique<Recording>(fn, inputs));
    if (recordings->size() > kMostRecordings) recordings->pop_back();
    return recordings->front()->replay(inputs);
  };
}

}  // namespace plimsoll
