-- A run that has not ended can be cancelled.
local ended = { Succeeded = true, Blocked = true, Failed = true, Cancelled = true }
local phase = nil
if obj.status ~= nil then
  phase = obj.status.phase
end
return {
  ["cancel"] = {
    displayName = "Cancel",
    disabled = (phase ~= nil and ended[phase] == true) or obj.spec.cancel == true,
  },
}
