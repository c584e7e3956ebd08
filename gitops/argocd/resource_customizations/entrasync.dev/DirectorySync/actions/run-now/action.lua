-- Starts a run, whatever the schedule says; the operator echoes the value in its status.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["entrasync.dev/run-requested-at"] = os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
