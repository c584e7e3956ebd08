-- Health of every resource of entrasync.dev, by the conditions that kstatus reads, too. It uses
-- nothing but the base library: Argo CD gives no other to health checks.
local function condition(kind)
  for _, each in ipairs(obj.status.conditions) do
    if each.type == kind then
      return each
    end
  end
  return nil
end

local function holds(kind)
  local found = condition(kind)
  return found ~= nil and found.status == "True"
end

local function say(status, found, otherwise)
  local health = { status = status, message = otherwise }
  if found ~= nil and found.message ~= nil and found.message ~= "" then
    health.message = found.reason .. ": " .. found.message
  elseif found ~= nil then
    health.message = found.reason
  end
  return health
end

if obj.status == nil or obj.status.conditions == nil then
  return say("Progressing", nil, "waits for the operator")
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  return say("Progressing", nil, "waits for the operator to see the latest change")
end
if holds("Stalled") then
  return say("Degraded", condition("Stalled"))
end
if holds("Reconciling") then
  return say("Progressing", condition("Reconciling"))
end
if holds("Suspended") then
  return say("Suspended", condition("Suspended"))
end
local ready = condition("Ready")
if ready == nil or ready.status == "Unknown" then
  return say("Progressing", ready, "waits for the operator")
end
if ready.status == "False" then
  -- not Stalled: it may pass by itself, and the operator tries again
  return say("Progressing", ready)
end
if holds("Degraded") then
  -- some objects in error; the sync itself works, and must not hold up what depends on it
  return say("Healthy", condition("Degraded"))
end
return say("Healthy", ready)
